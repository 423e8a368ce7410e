/* keywright's consistency protocol (DESIGN, section 5), for one key. README.md says what is covered.
 *
 * Time: `Tick` moves every clock by one; nothing has to happen before the next tick. So every process
 * may be paused, and every message late, for as long as it likes. A timer is the number of ticks left.
 * Who holds a lease decides while ticks are left (for less than L); who waits, waits until none is.
 * Nothing is ever sent by NOTIFY: every action below may happen at any time or never.
 *
 * An action that takes time in the world is one action here at the moment that is worst for G1: a
 * renewal is sent when its statement takes its snapshot (sent earlier, its lease would end earlier).
 *
 * Each action says its step in section 5, and `fn:` names the function that does it. */

/* Bounds: replicas, the lease, when a silent row is dead, the last revision. */
#ifndef N
#define N 1
#endif
#ifndef L
#define L 2
#endif
#ifndef DEAD
#define DEAD (L + 1)
#endif
#ifndef REVISIONS
#define REVISIONS 3
#endif
#if defined(SYNC) || defined(ASYNC)
#define FAILOVER
#endif
#ifdef STEADY /* nobody crashes, leaves or is removed; replies are lost only in a failover */
#define LOSSES false
#define UNTIL_DEAD 0
#else
#define LOSSES true
#define UNTIL_DEAD DEAD
#endif
#ifndef CACHES /* replicas that read rows on misses */
#define CACHES N
#endif

/* A position is revision and tag in one number: 2 is revision 1 of the first history, and after a
 * failover tags are odd. Below are a row that is not there, one that acknowledges nothing, and the
 * answer to a renewal whose row is gone. */
#define NONE 0
#define NOTHING 1
#define GONE 1
#define FIRST 2
#define POSITIONS (2 * REVISIONS + 2)
#define REV(p) ((p) >> 1)
#define TAG(p) ((p) & 1)
#define AT(p) REV(p), ((p) < FIRST -> 45 : 97 + TAG(p)) /* for printf: "1a"; "0-" is none */

/* State: the database. */
byte current = FIRST;   /* authority_revision of the primary */
bool allow[POSITIONS] = true; /* what the key's row says at a position */
bool touch[POSITIONS];  /* authority_change: whether the change to a position touches the key */
byte row[N];            /* replica.applied and applied_tag, or NONE */
byte silent[N];         /* until `counter` was seen unchanged for DEAD (10 L in the program) */
bool failed;            /* the failover has been */
byte fork;              /* the last revision that both histories share */
#ifdef SYNC
byte old;               /* what the isolated old primary shows to those who still read it */
byte late[N];           /* a renewal that its connection left behind, still to be executed */
#endif
#ifdef ASYNC
bool saved;             /* where the standby is: what it has of the primary ... */
byte saved_current;
byte saved_row[N];
byte late[N];
#endif
#ifdef ROWS_FROM_ANOTHER_CONNECTION
byte old_row[N];
#endif

/* A process. */
mtype = { IDLE, ASKED, ANSWERED, READING };
mtype renewal[N] = IDLE;
bool registered[N];
byte primary[N];        /* which primary its direct connection goes to: 0, or 1 after the failover */
byte applied[N];        /* the position that is applied in memory */
byte asking[N];         /* the acknowledgement that its renewal carries */
byte returned[N];       /* the position that its renewal, or the reading of changes, brings back */
byte since_sent[N];     /* L, counted from t0 */
byte lease[N];
bool cached[N];         /* the state cache would allow the key */
byte read_at[N];        /* a miss in flight: the position that its row, which allows, was read at */
#ifdef APPLIED_BEFORE_CACHE
bool stale[N];
#endif
#ifdef REGISTERED_WITH_LEASE
bool registering[N];
#endif
#ifdef REMOVED_WITHOUT_COUNTER
bool doomed[N];
#endif

/* A narrowing call whose return is judged. One is enough: others commit and their return is not
 * looked at, and what this one may rely on does not depend on them. */
mtype = { BEFORE, SENDING, COMMITTED, WAITING, OVER };
mtype call = BEFORE;
byte asked_for;         /* the position it waits for */
byte waits;
byte unfamiliar;        /* until its process has known this primary for L */
bool returned_ok;       /* it returned OK, what it narrowed is not lost, nothing was widened since */

#ifdef WATCHER
/* A client cache, its stream to a server, and what servers remember of it. */
mtype = { QUIET, GRANTED, TOLD };
mtype reply = QUIET;    /* the server's reply in flight */
byte reply_at;          /* position of TOLD */
#ifdef GRANT_FROM_RECEIPT
byte reply_left;        /* grant of GRANTED */
#endif
byte server;
byte told;              /* the client's position */
byte client_lease;
bool client_cached;
byte answer_at;         /* an Authenticate reply in flight that allows: its position */
byte granted;           /* server: what is left of the grant, counted from receipt */
byte granted_at;        /* server: the position that the stream has acknowledged */
byte ended[N];          /* server: the same of streams that have ended */
byte ended_at[N];
#endif

#include "rules.h"

/* touching := a change in (p, q] touches the key, along the history of q. */
byte k;
bool touching;
inline look_for_changes(p, q) {
	touching = false;
	k = REV(p) + 1;
	do
	:: k <= REV(q) ->
		touching = touching || touch[2 * k + (k > fork -> TAG(q) : 0)];
		k++
	:: else -> break
	od;
	k = 0
}

inline commit(allows, touches) {
	k = 2 * (REV(current) + 1) + failed;
	allow[k] = allows;
	touch[k] = touches;
	current = k;
	k = 0
}

inline run_down(timer) { timer = (timer > 0 -> timer - 1 : 0) }

inline end_renewal(i) {
	renewal[i] = IDLE;
	returned[i] = NONE;
	since_sent[i] = 0;
	asking[i] = NONE
}

inline forget(i) {
	cached[i] = false;
	applied[i] = NONE
}

/* The promise: once the call has returned OK, nobody allows. Any call may begin now. */
#define WRONG_ALLOW(source) \
	printf(source); \
	printf("a call that began after the narrowing had returned gets an ALLOW\n"); \
	assert(false)

#define i _pid
#define MORE (REV(current) < REVISIONS)
#define ON_PRIMARY (primary[i] == failed)

active [N] proctype Replica() {
	do
	/* Registration, a transaction of its own.  fn: Replica._register, ReplicaRows.register */
	:: d_step { !registered[i] && row[i] == NONE ->
#ifdef REGISTERED_WITH_LEASE
		/* One statement: its snapshot is older than the moment others see its row. */
		registering[i] = true;
		returned[i] = current;
		since_sent[i] = L;
		printf("replica %d registers; the same statement reads position %d%c\n", i, AT(current));
	}
	:: d_step { registering[i] ->
		registering[i] = false;
		row[i] = returned[i];
		applied[i] = returned[i];
		lease[i] = since_sent[i];
		end_renewal(i);
		printf("replica %d's row is there; it has a lease for %d\n", i, lease[i]);
#else
		row[i] = current;
		applied[i] = current; /* with empty caches */
		printf("replica %d has registered, at position %d%c\n", i, AT(current));
#endif
		registered[i] = true;
		primary[i] = failed;
		silent[i] = UNTIL_DEAD;
#ifdef FAILOVER
		late[i] = NONE;
#endif
#ifdef ASYNC
		saved_row[i] = NONE; /* a row of an id that is no more only makes others wait */
#endif
	}

	/* Lease and acknowledgement: note t0, send the statement; its snapshot.  fn: Replica._renew: asked_at, Watchers.acknowledged */
	:: d_step { registered[i] && renewal[i] == IDLE && ON_PRIMARY ->
		renewal[i] = ASKED;
		since_sent[i] = L;
		returned[i] = current;
		asking[i] = applied[i];
#ifdef WATCHER
		if
		:: HELD_BY_ENDED(i) -> asking[i] = (ended_at[i] == NONE -> NOTHING : ended_at[i])
		:: else
		fi;
		if
		:: HELD_BY_STREAM(i) && REV(granted_at) < REV(asking[i]) ->
			asking[i] = (granted_at == NONE -> NOTHING : granted_at)
		:: else
		fi;
#endif
		printf("replica %d asks for a lease, acknowledging %d%c; the statement reads %d%c\n",
			i, AT(asking[i]), AT(current));
	}
	/* ... the statement commits: the row acknowledges, the counter moves.  fn: ReplicaRows.renew */
	:: d_step { renewal[i] == ASKED && ON_PRIMARY ->
		renewal[i] = ANSWERED;
		if
		:: row[i] == NONE ->
			returned[i] = GONE;
			printf("replica %d's renewal finds no row\n", i)
		:: else ->
			row[i] = asking[i];
			silent[i] = UNTIL_DEAD;
			printf("replica %d's renewal is committed\n", i)
		fi;
		asking[i] = NONE;
	}
	/* ... its reply arrives: a lease, or the changes are read next.  fn: Replica._renew: Lease.grant, or Replica._catch_up */
	:: d_step { renewal[i] == ANSWERED && returned[i] != GONE ->
		if
		:: LEASED(i) ->
			lease[i] = LEASE_LEFT(i);
			printf("replica %d has a lease for %d\n", i, lease[i])
		:: else
		fi;
		if
		:: SAME(returned[i], applied[i]) -> end_renewal(i)
		:: else ->
			end_renewal(i);
			renewal[i] = READING;
#ifdef SYNC
			returned[i] = (ON_PRIMARY -> current : old);
#else
			returned[i] = current;
#endif
			printf("replica %d reads the changes to %d%c\n", i, AT(returned[i]))
		fi
	}
	/* ... the row is gone: drop the caches, take a new id.  fn: Replica._run: _RowGoneError */
	:: d_step { renewal[i] == ANSWERED && returned[i] == GONE ->
		end_renewal(i);
		forget(i);
		registered[i] = false;
		printf("replica %d needs a new id\n", i);
	}
	/* ... the changes arrive: caches and `applied` change together, or all is dropped.  fn: ReplicaRows.since, History.apply, .reset */
	:: d_step { renewal[i] == READING ->
		look_for_changes(applied[i], returned[i]);
		if
		:: touching || !IN_HISTORY(applied[i], returned[i]) ->
#ifdef APPLIED_BEFORE_CACHE
			stale[i] = cached[i]
#else
			cached[i] = false
#endif
		:: else
		fi;
		touching = false;
		applied[i] = returned[i];
		end_renewal(i);
		printf("replica %d has applied %d%c\n", i, AT(applied[i]));
	}
#ifdef APPLIED_BEFORE_CACHE
	:: d_step { stale[i] ->
		stale[i] = false;
		cached[i] = false;
		printf("replica %d drops the key from its cache\n", i);
	}
#endif
	/* A reply is lost: no lease, a new connection, which goes to the primary of now.  fn: ReplicaRows._asked, Replica._run */
	:: d_step { registered[i] && (LOSSES && renewal[i] != IDLE || !ON_PRIMARY) ->
#ifdef FAILOVER
		if
		:: renewal[i] == ASKED && ON_PRIMARY -> late[i] = asking[i]
		:: else
		fi;
#endif
		end_renewal(i);
		primary[i] = failed;
		printf("replica %d has lost its connection and has a new one\n", i);
	}
#ifdef FAILOVER
	:: d_step { late[i] != NONE ->
		if
		:: row[i] != NONE -> row[i] = late[i]; silent[i] = UNTIL_DEAD
		:: else
		fi;
		printf("the renewal that replica %d's lost connection left, acknowledging %d%c, is executed\n",
			i, AT(late[i]));
		late[i] = NONE;
	}
#endif

	/* Deciding, a miss: one statement reads row and position. Rows that deny play no part.  fn: LookUps.look_up, CredentialReader.look_up */
	:: d_step { i < CACHES && allow[current] && read_at[i] != current ->
		read_at[i] = current;
		printf("replica %d reads the row for a miss, at position %d%c\n", i, AT(current));
	}
#ifdef SYNC
	/* ... on a pooled connection to the isolated old primary. */
	:: d_step { i < CACHES && failed && allow[old] && read_at[i] != old ->
		read_at[i] = old;
		printf("replica %d reads the row for a miss at the old primary, at position %d%c\n",
			i, AT(old));
	}
#endif
	/* ... the row arrives: refill guard, then the decision, for whoever joined the flight.  fn: Authenticate._prove, then ._decide */
	:: d_step { read_at[i] != NONE && applied[i] != NONE ->
		look_for_changes(read_at[i], applied[i]);
		if
		:: REFILL(i) ->
			cached[i] = true;
			printf("replica %d's row enters its cache\n", i);
			if
			:: returned_ok && MISS_MAY_DECIDE(i) -> WRONG_ALLOW("from a miss: ")
			:: else
			fi;
			read_at[i] = NONE
		:: else /* it may arrive later, or another is read */
		fi;
		touching = false;
	}
	/* Deciding, a hit: from the cache under a lease.  fn: Authenticate.recall, ._decide */
	:: d_step { returned_ok && cached[i] && lease[i] > 0 -> WRONG_ALLOW("from a replica's cache: ") }

#ifndef STEADY
	/* Crash. The row stays. */
	:: d_step { registered[i] ->
		registered[i] = false;
		end_renewal(i);
		forget(i);
		lease[i] = 0;
		read_at[i] = NONE;
#ifdef APPLIED_BEFORE_CACHE
		stale[i] = false;
#endif
#ifdef WATCHER
		ended[i] = 0;
		ended_at[i] = NONE;
		if
		:: server == i -> granted = 0; granted_at = NONE
		:: else
		fi;
#endif
		printf("replica %d crashes\n", i);
	}
	/* Registration, the end: the owner removes its row when no grant is left.  fn: Replica._leave */
#ifdef WATCHER
#ifdef LEFT_BEFORE_GRANTS_END
#define NO_GRANT_LEFT true
#else
#define NO_GRANT_LEFT (ended[i] == 0 && (server != i || granted == 0))
#endif
	:: d_step { registered[i] && row[i] != NONE && NO_GRANT_LEFT ->
		ended[i] = 0;
		ended_at[i] = NONE;
		if
		:: server == i -> granted = 0; granted_at = NONE
		:: else
		fi;
#else
	:: d_step { registered[i] && row[i] != NONE ->
#endif
		registered[i] = false;
		end_renewal(i);
		forget(i);
		lease[i] = 0;
		read_at[i] = NONE;
		row[i] = NONE;
		printf("replica %d stops and removes its row\n", i);
	}
	/* Registration, a dead row is removed by any process, if the counter is still the same.  fn: Replica._remove_dead */
#ifdef REMOVED_WITHOUT_COUNTER
	:: d_step { row[i] != NONE && silent[i] == 0 && !doomed[i] ->
		doomed[i] = true;
		printf("somebody saw replica %d's counter unchanged for %d\n", i, DEAD);
	}
	:: d_step { row[i] != NONE && doomed[i] ->
		doomed[i] = false;
#else
	:: d_step { row[i] != NONE && silent[i] == 0 ->
#endif
		row[i] = NONE;
		printf("somebody removes replica %d's row as dead\n", i);
	}
#endif
	od
}
#undef i

#ifdef NOTHING_WITHOUT_WAIT
#define OK_AT_ONCE(found) (!(found))
#else
#define OK_AT_ONCE(found) false
#endif

inline return_ok() {
	call = OVER;
	waits = 0;
	asked_for = NONE;
	returned_ok = true;
	printf("the narrowing returns OK\n")
}

active proctype Narrowing() {
	do
	/* Narrowing transaction: writes and commits, or finds nothing left to narrow.  fn: mutation._once, AuthorityWriter.advance, .stay */
#ifdef WAIT_FROM_SENDING
	:: d_step { call == BEFORE ->
		call = SENDING;
		waits = L;
		printf("a narrowing sends its COMMIT\n");
	}
	:: d_step { call == SENDING && (MORE || !allow[current]) ->
#else
	:: d_step { call == BEFORE && (MORE || !allow[current]) ->
#endif
		if
		:: allow[current] ->
			commit(false, true);
			call = COMMITTED;
			printf("a narrowing is committed as %d%c\n", AT(current))
		:: else ->
			call = COMMITTED;
			printf("a narrowing finds nothing to narrow at %d%c\n", AT(current));
#ifdef NOTHING_WITHOUT_WAIT
			return_ok()
#endif
		fi;
		asked_for = (call == COMMITTED -> current : NONE);
	}
#if defined(NOTHING_UNWRITTEN) && defined(SYNC)
	:: d_step { call == BEFORE && failed && !allow[old] ->
		call = COMMITTED;
		asked_for = old;
		printf("a narrowing finds nothing to narrow at the old primary, at %d%c\n", AT(old));
	}
#endif
	/* Waiting: from the receipt of the COMMIT reply ...  fn: Wait.watch */
	:: d_step { call == COMMITTED ->
		call = WAITING;
#ifndef WAIT_FROM_SENDING
		waits = L;
#endif
		printf("the narrowing's COMMIT reply is received\n");
	}
	/* ... until every row has acknowledged, or L has passed (always L when the connection is lost).
	 * fn: Wait.watch, .outlast, AcknowledgementReader.behind */
	:: d_step { call == WAITING && (waits == 0 || (MAY_END_EARLY && ALL_ACKNOWLEDGED)) ->
		return_ok();
	}
	od
}

active proctype Environment() {
	do
	/* Other callers' changes: of the key, either way, and of something else. Nothing is widened while
	 * the judged call is on its way: its return would prove nothing. */
	:: d_step { MORE && allow[current] ->
		commit(false, true);
		printf("another narrowing is committed as %d%c\n", AT(current));
	}
	:: d_step { MORE && !allow[current] && (call == BEFORE || call == SENDING) ->
		commit(true, true);
		printf("the key is widened, as %d%c\n", AT(current));
	}
	:: d_step { MORE ->
		commit(allow[current], false);
		printf("something else changes, as %d%c\n", AT(current));
	}

	:: d_step {
		true;
		k = 0;
		do
		:: k < N ->
			run_down(lease[k]);
			run_down(since_sent[k]);
			run_down(silent[k]);
#ifdef WATCHER
			run_down(ended[k]);
			if
			:: ended[k] == 0 -> ended_at[k] = NONE
			:: else
			fi;
#endif
			k++
		:: else -> break
		od;
		k = 0;
		run_down(waits);
		run_down(unfamiliar);
#ifdef WATCHER
		run_down(granted);
		run_down(client_lease);
#endif
		printf("time passes\n");
	}
#ifdef REMOVED_BY_DATABASE_CLOCK
	:: d_step {
		true;
		k = 0;
		do
		:: k < N -> silent[k] = 0; k++
		:: else -> break
		od;
		k = 0;
		printf("the database's clock is stepped forward\n");
	}
#endif

#ifdef SYNC
	/* Failover with a synchronous standby: all that was acknowledged is there; the old primary, cut
	 * off, can commit nothing more but can still be read. */
	:: d_step { !failed ->
		failed = true;
		fork = REV(current);
		old = current;
		k = 0;
		do
		:: k < N ->
			late[k] = NONE;
#ifdef ROWS_FROM_ANOTHER_CONNECTION
			old_row[k] = row[k];
#endif
			k++
		:: else -> break
		od;
		k = 0;
		printf("failover; the old primary stays at %d%c, isolated\n", AT(old));
	}
	/* ... it may even show a commit whose synchronous wait was broken off (a terminated backend, a
	 * restart): nobody was ever told of it, and the new primary has never had it. */
	:: d_step { failed && REV(old) < REVISIONS ->
		old = old + 2; allow[old] = true; touch[old] = true;
		printf("the old primary shows an unacknowledged widening as %d%c\n", AT(old));
	}
	:: d_step { failed && REV(old) < REVISIONS ->
		old = old + 2; allow[old] = false; touch[old] = true;
		printf("the old primary shows an unacknowledged narrowing as %d%c\n", AT(old));
	}
	:: d_step { failed && REV(old) < REVISIONS ->
		old = old + 2; allow[old] = allow[old - 2]; touch[old] = false;
		printf("the old primary shows an unacknowledged change of something else as %d%c\n", AT(old));
	}
#endif
#ifdef ASYNC
	/* Failover with an asynchronous standby: the tail since some moment is lost, rows and all. The old
	 * primary is fenced: it neither commits nor answers. */
	:: d_step { !failed && !saved ->
		saved = true;
		saved_current = current;
		k = 0;
		do
		:: k < N -> saved_row[k] = row[k]; k++
		:: else -> break
		od;
		k = 0;
		printf("the standby has what is committed so far, and gets no more\n");
	}
	:: d_step { !failed && saved ->
		failed = true;
		fork = REV(saved_current);
		current = saved_current;
		saved_current = NONE;
		unfamiliar = L;
		k = 0;
		do
		:: k < N ->
			row[k] = saved_row[k];
			saved_row[k] = NONE;
			silent[k] = UNTIL_DEAD; /* who watches a counter begins again on a new connection */
			late[k] = NONE;
			k++
		:: else -> break
		od;
		k = 0;
		if
		:: allow[current] -> /* the narrowing is lost, which is not what is promised: judge another */
			call = BEFORE;
			asked_for = NONE;
			waits = 0;
			returned_ok = false
		:: else
		fi;
		printf("failover; the new primary is at %d%c\n", AT(current));
	}
#endif
	od
}

#ifdef WATCHER
/* One answer of a server to its client: a grant at its own position, else the changes up to there. */
inline serve(i) {
	granted_at = told;
	if
	:: MAY_BE_GRANTED(i) ->
#ifdef GRANT_FROM_RECEIPT
		reply = GRANTED;
		reply_left = GRANT(i);
#else
		client_lease = (GRANT(i) > client_lease -> GRANT(i) : client_lease);
#endif
		granted = (GRANT(i) > granted -> GRANT(i) : granted);
		printf("the client asks at %d%c; replica %d grants %d\n", AT(told), i, GRANT(i))
	:: else ->
		if
		:: !SAME(told, applied[i]) ->
			reply = TOLD;
			reply_at = applied[i];
			printf("the client asks at %d%c; replica %d tells the changes to %d%c\n",
				AT(told), i, AT(reply_at))
		:: else /* no lease to grant from: the client has acknowledged, no more */
			printf("the client acknowledges %d%c to replica %d\n", AT(told), i)
		fi
	fi
}

/* A stream ends, wherever its server stands; the client opens one to `to`. */
inline open(to) {
	if
	:: REMEMBERED > 0 ->
		if
		:: ended[server] == 0 || REV(granted_at) < REV(ended_at[server]) ->
			ended_at[server] = granted_at
		:: else
		fi;
		ended[server] = (REMEMBERED > ended[server] -> REMEMBERED : ended[server])
	:: else
	fi;
	granted = 0;
	granted_at = NONE;
	reply = QUIET;
	reply_at = NONE;
#ifdef GRANT_FROM_RECEIPT
	reply_left = 0;
#endif
	server = to;
	printf("the client's stream ends; it opens one to replica %d\n", to)
}

inline ask_authenticate(at) {
	answer_at = applied[at];
	printf("replica %d allows in an answer to the client, at position %d%c\n", at, AT(answer_at))
}

active proctype Client() {
	do
	/* Client caches: the client sends its position and notes the time; the server's answer.  fn: LeasedCache.request; _Watch._answer, Watcher.grant, .news */
	:: d_step { reply == QUIET && registered[server] && applied[server] != NONE -> serve(server) }
#ifdef GRANT_FROM_RECEIPT
	:: d_step { reply == GRANTED ->
		client_lease = (reply_left > client_lease -> reply_left : client_lease);
		reply = QUIET;
		reply_left = 0;
		printf("the client has a lease for %d\n", client_lease);
	}
#endif
	/* ... changes arrive: cache and position change together.  fn: LeasedCache.receive */
	:: d_step { reply == TOLD ->
		look_for_changes(told, reply_at);
		if
		:: touching || !IN_HISTORY(told, reply_at) -> client_cached = false
		:: else
		fi;
		touching = false;
#ifndef LEASE_TAKEN_BACK
		if /* a lease says nothing of positions before the one that it was granted at */
		:: !IN_HISTORY(told, reply_at) -> client_lease = 0
		:: else
		fi;
#endif
		told = reply_at;
		reply = QUIET;
		reply_at = NONE;
		printf("the client has applied %d%c\n", AT(told));
	}
	/* ... the stream ends, and another begins.  fn: LeasedCache.ended; Watchers.leave */
	:: d_step { reply != QUIET || granted > 0 || server != 0 -> open(0) }
#if N > 1
	:: d_step { reply != QUIET || granted > 0 || server != 1 -> open(1) }
#endif

	/* The client asks any server; the answer carries the position applied at the decision.  fn: Questions.ask; Authenticate.revision */
	:: d_step { cached[0] && lease[0] > 0 && answer_at != applied[0] -> ask_authenticate(0) }
#if N > 1
	:: d_step { cached[1] && lease[1] > 0 && answer_at != applied[1] -> ask_authenticate(1) }
#endif
	/* ... the answer arrives: the client's guard.  fn: LeasedCache.put */
	:: d_step { answer_at != NONE && told != NONE ->
		look_for_changes(answer_at, told);
		if
		:: CLIENT_REFILL ->
			client_cached = true;
			answer_at = NONE;
			printf("the answer enters the client's cache\n")
		:: else
		fi;
		touching = false;
	}
	/* Deciding at the client: from its cache under its lease.  fn: LeasedCache.get */
	:: d_step { returned_ok && client_cached && client_lease > 0 -> WRONG_ALLOW("from the client's cache: ") }
	od
}
#endif
