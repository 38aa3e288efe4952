// Package queue is everything of webhook events in Redis: the stream and its helper keys, the steps
// that move an event from one place to another, the books, the dead letters and their replay, and
// the delivery log.
//
// Its files part into two families. The process side (process.go, dequeue.go, step.go) belongs to a
// dispatcher process: its lease, what it dequeues, and what it does with what it holds. The
// management side (publish.go, books.go, deadletter_*.go, deliverylog.go, audit.go) belongs to the
// Queue: it needs no process, and the API and the commands use it too.
//
// # Places
//
// The payload of an event stays in its entry of the stream until the event is finished. The step
// that finishes the event deletes the entry and counts it, so the number of waiting events is
// always the length of the stream. From when it is dequeued until it is finished, an entry is in
// exactly one of three places:
//
//	held:<process>  a process works on it, under its lease
//	retry           its next attempt is due at the score, by the clock of Redis
//	parked:<org>    its endpoint has no capacity; the score is when it was first seen
//
// Each step from one place to another is one script (lua/, one file each, with its invariant at the
// head). A step is guarded by the place that the entry leaves: repeated after a lost reply it does
// nothing, and from a process whose work was recovered by another it is refused.
//
// # Reading
//
// The group is read with NOACK: the place of an entry records who has it, and a pending list beside
// that record could only contradict it. `cursor` in the books is how far the stream was read. When
// the group is gone (XGROUP DESTROY, DEL, FLUSHALL), it is created again at the beginning of the
// stream; entries up to the cursor that are in a place are then passed over, and the others are
// dequeued. Entries that a foreign client read in our group show in the group's pending list, or
// are in no place once the stream is read to its end. Audit finds both.
//
// # Leases
//
// A process is in `processes` as long as it may hold work, and it keeps a lease with a time to
// live. When the lease of a process has expired, another process recovers the work; package
// dispatcher decides when. The dead process is fenced first, then its events are moved, then it is
// removed from `processes`. Once fenced, all its steps are refused. Until then, an expired lease
// takes nothing away: the process simply renews it.
//
// # Books
//
//	published  = base + entries-added − replayed
//	difference = published + replayed − delivered − skipped − dead − duplicate − length
//
// entries-added is Redis' own count of what was ever added to the stream. base is what was there
// before that count, or in streams that were deleted. No crash can bring the books out of balance,
// since each number changes in the step that it counts; a difference says that a foreign client
// deleted or trimmed. Writing it off lowers base. What is published and deleted together with the
// whole stream between two looks, a second apart, leaves no trace. miniredis does not count
// entries-added; there the difference is always 0.
//
// # Identity
//
// mark:<org>/<id> names the entry that has taken an explicit id, or says `done` for 24 h after the
// delivery of that entry. A mark whose entry has left the stream does not bind, so no crash can
// lose an event to its own mark.
package queue
