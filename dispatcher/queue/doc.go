// Package queue is everything of webhook events in Redis: the stream and its helper keys, the steps that move an event between them,
// the books, the dead events and their replay, and the delivery log.
//
// # Where an event stands
//
// An event's payload stays in its entry of the stream until it is finished, in the same step that counts it; so what waits is the length
// of the stream, always. Between being taken and being finished, an entry stands in exactly one of
//
//	held:<process>  a process works on it, under its lease
//	retry           its next attempt is due at the score, by Redis' clock
//	parked:<org>    its endpoint has no room; the score is when it was first seen
//
// Every step between them is one script (lua/, one file each, its invariant on top), guarded by the place that it leaves: repeated
// after a lost answer it does nothing, and made by a process whose work was taken over it is refused.
//
// # Reading
//
// The group is read with NOACK: an entry's place is the record of it, and a pending list beside it could only contradict. `cursor` in
// the books is how far the stream was read. When the group is gone (XGROUP DESTROY, DEL, FLUSHALL) it is made anew from the stream's
// beginning; entries up to the cursor that stand somewhere are then passed over, the others taken. What a stranger read in our group
// shows in the group's pending list, or as entries that stand nowhere once the stream is read to its end; Audit finds both.
//
// # Leases
//
// A process stands in `processes` as long as it may hold work, and keeps a lease with a time to live. One whose lease has lapsed is taken
// over by another, which decides when (package dispatcher): it is barred first, then emptied, then struck off. Its own steps are refused
// from the first moment on. Until then a lapsed lease takes nothing away: it is simply renewed.
//
// # Books
//
// published = base + entries-added − replayed, where entries-added is Redis' own count of what was ever added to the stream, and base
// what was there before, or in streams that were deleted. difference = published + replayed − delivered − skipped − dead − duplicate −
// length. Nobody's crash can bring it out of balance, since every number changes in the step that it counts; a difference says that
// somebody else deleted or trimmed. Writing it off lowers base. What is published and deleted again between two looks, a second apart,
// together with the whole stream, leaves no trace. miniredis does not count entries-added; there the difference is always 0.
//
// # Identity
//
// mark:<org>/<id> names the entry for which an explicit id is taken, or says `done` for 24 h after its delivery. A mark whose entry is
// gone from the stream binds nobody, so that no crash can lose an event to its own mark.
package queue
