// A certified OpenID Connect provider, with a form to sign in as anybody; for tests only.
import Provider from "oidc-provider";

const { PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env;
const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  clients: [
    { client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT_URI] },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false, // in the id token, too, as those of most companies do
  pkce: { required: () => true },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
  }),
});
provider.listen(Number(PORT), "127.0.0.1", () => {
  process.stderr.write(`${JSON.stringify({ event: "listening" })}\n`);
});
