/* The rules of the protocol that the actions in protocol.pml go by, each with the mistake that can be
 * planted in it: `spin -DLEASE_FROM_REPLY protocol.pml` is the protocol with that one mistake.
 * A rule whose mistake needs an action or a variable of its own stands in protocol.pml, under the same
 * kind of switch. mistakes.py lists all of them. */

/* A position is the pair of revision and tag. */
#ifdef NO_TAG
#define SAME(p, q) (REV(p) == REV(q))
#define IN_HISTORY(p, q) ((p) != NONE && REV(p) <= REV(q))
#else
#define SAME(p, q) ((p) == (q))
#define IN_HISTORY(p, q) \
	((p) != NONE && REV(p) <= REV(q) && (TAG(p) == TAG(q) || (TAG(p) == 0 && REV(p) <= fork)))
#endif

/* A lease is counted from the moment before its renewal was sent. */
#ifdef LEASE_FROM_REPLY
#define LEASE_LEFT(i) L
#else
#define LEASE_LEFT(i) since_sent[i]
#endif

/* A renewal is a lease only if what it returned is the position that is applied in memory. */
#ifdef LEASE_BELOW_POSITION
#define LEASED(i) true
#else
#define LEASED(i) SAME(returned[i], applied[i])
#endif

/* A row enters the cache if its position is a known point of this process's history and no change
 * since then touches the key (`touching` says whether one does). */
#if defined(REFILL_UNGUARDED)
#define REFILL(i) true
#elif defined(REFILL_AHEAD)
#define REFILL(i) \
	(!touching && (IN_HISTORY(read_at[i], applied[i]) || IN_HISTORY(applied[i], read_at[i])))
#else
#define REFILL(i) (!touching && IN_HISTORY(read_at[i], applied[i]))
#endif

/* A miss decides like a hit: under a lease that is valid at the decision. */
#ifdef MISS_WITHOUT_LEASE
#define MISS_MAY_DECIDE(i) true
#else
#define MISS_MAY_DECIDE(i) (lease[i] > 0)
#endif

/* What a process acknowledges is the lower of what it has applied and what those of its watchers
 * have acknowledged whose grants are not over. */
#ifdef ACKNOWLEDGED_WITHOUT_WATCHER
#define HELD_BY_STREAM(i) false
#define HELD_BY_ENDED(i) false
#else
#define HELD_BY_STREAM(i) (server == i && granted > 0 && !SAME(granted_at, applied[i]))
#define HELD_BY_ENDED(i) (ended[i] > 0 && !SAME(ended_at[i], applied[i]))
#endif

/* A server grants what remains of its own lease ... */
#ifdef GRANT_BEYOND_LEASE
#define GRANT(i) L
#else
#define GRANT(i) lease[i]
#endif

/* ... only to a watcher at the server's own position ... */
#ifdef GRANT_BEHIND
#define MAY_BE_GRANTED(i) (lease[i] > 0)
#else
#define MAY_BE_GRANTED(i) (lease[i] > 0 && SAME(told, applied[i]))
#endif

/* ... and remembers a grant after its stream has ended. */
#ifdef GRANT_FORGOTTEN
#define REMEMBERED 0
#else
#define REMEMBERED granted
#endif

/* An answer enters the client's cache if its position is in the history that the client was told, and
 * no change that it was told since touches the key. */
#ifdef CLIENT_UNGUARDED
#define CLIENT_REFILL true
#else
#define CLIENT_REFILL (!touching && IN_HISTORY(answer_at, told))
#endif

/* A row acknowledges a position by one of the same history at or past it. */
#if defined(ACKNOWLEDGED_BY_NUMBER)
#define AT_OR_PAST(p, q) (REV(p) > REV(q) || SAME(p, q))
#else
#define AT_OR_PAST(p, q) (REV(p) >= REV(q) && IN_HISTORY(p, current))
#endif
#define ACKNOWLEDGED(r) ((r) == NONE || ((r) != NOTHING && AT_OR_PAST(r, asked_for)))

/* Rows are read on the connection that committed. */
#ifdef ROWS_FROM_ANOTHER_CONNECTION
#define ALL_ACKNOWLEDGED \
	((ACKNOWLEDGED(row[0]) && ACKNOWLEDGED(row[N - 1])) || \
	 (failed && ACKNOWLEDGED(old_row[0]) && ACKNOWLEDGED(old_row[N - 1])))
#else
#define ALL_ACKNOWLEDGED (ACKNOWLEDGED(row[0]) && ACKNOWLEDGED(row[N - 1]))
#endif

/* Without a synchronous standby, early acknowledgements count only after the process has known this
 * primary for L. */
#ifdef EARLY_AFTER_FAILOVER
#define MAY_END_EARLY true
#else
#define MAY_END_EARLY (unfamiliar == 0)
#endif
