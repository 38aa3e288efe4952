package queue

import (
	"context"
	"time"
)

// Books are the totals that must balance at any moment:
// Published + Replayed = Delivered + Skipped + Dead + Duplicate + Waiting + Difference.
type Books struct {
	Published, Replayed                 int64
	Delivered, Skipped, Dead, Duplicate int64
	Waiting                             int64 // unfinished: unread, in flight, parked or retrying
	Difference                          int64 // events that are missing; 0 where none was lost
}

// Books reads the books in one atomic step.
func (q *Queue) Books(ctx context.Context) (Books, error) {
	t, err := q.totals(ctx, "")
	return t.Books, err
}

// AcceptDifference writes the difference off. It returns the amount and the books afterwards.
func (q *Queue) AcceptDifference(ctx context.Context) (int64, Books, error) {
	t, err := q.totals(ctx, "accept")
	return t.writtenOff, t.Books, err
}

// Totals are the books and the other figures of Redis that metrics show, read in one step.
type Totals struct {
	Books
	Parked      int64
	Retrying    int64
	DeadLetters int64
	ParkedOrgs  int           // organizations that have parked events
	OldestAge   time.Duration // of the oldest unfinished event; 0 where there is none
	Lost        int64         // growth of the difference since any process last read Totals

	writtenOff int64
}

// Totals reads the totals. A growth of the difference is reported as Lost to one caller only.
func (q *Queue) Totals(ctx context.Context) (Totals, error) { return q.totals(ctx, "count") }

// totals runs books.lua with a request: "accept", "count" or "".
func (q *Queue) totals(ctx context.Context, request string) (Totals, error) {
	r, err := q.run(ctx, booksScript, "", request)
	if err != nil {
		return Totals{}, err
	}
	b := list(r[0])
	if len(r) != 8 || len(b) != 8 {
		return Totals{}, errReply
	}
	return Totals{
		Books: Books{
			Published: num(b[0]), Replayed: num(b[1]), Delivered: num(b[2]), Skipped: num(b[3]),
			Dead: num(b[4]), Duplicate: num(b[5]), Waiting: num(b[6]), Difference: num(b[7]),
		},
		writtenOff: num(r[1]), Lost: num(r[2]), Parked: num(r[3]), Retrying: num(r[4]),
		OldestAge:   time.Duration(num(r[5])) * time.Millisecond,
		DeadLetters: num(r[6]), ParkedOrgs: int(num(r[7])),
	}, nil
}
