// An OpenID Connect provider with one client, for tests; prints its issuer once it listens.
//
// The client may be anywhere on this machine's loopback: a native one is known by its path and not
// by its port (RFC 8252, section 7.3). Whoever signs in is who they say, with any password. The
// name is the subject, and what is like an e-mail address is one; `unverified:` before it says that
// the provider has not seen to that.

import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [clientId, clientSecret, callbackPath] = process.argv.slice(2);

const claimsOf = (subject) => {
  const email = subject.replace(/^unverified:/, '');
  return email.includes('@')
    ? { sub: subject, email, email_verified: email === subject }
    : { sub: subject };
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        application_type: 'native',
        redirect_uris: [`http://127.0.0.1${callbackPath}`],
      },
    ],
    pkce: { required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false, // the address is in the id token, as large providers have it
    cookies: { keys: ['of tests'] },
    findAccount: (_context, subject) => ({
      accountId: subject,
      claims: () => claimsOf(subject),
    }),
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
