package queue

import (
	"context"
	"time"
)

// Books are the totals that must balance at any moment: Published + Replayed = Delivered + Skipped + Dead + Duplicate + Waiting +
// Difference.
type Books struct {
	Published, Replayed                 int64
	Delivered, Skipped, Dead, Duplicate int64
	Waiting                             int64 // not finished yet: unread, in flight, parked or retrying
	Difference                          int64 // what is missing on the right; 0 where nothing was lost
}

// Books reads the books in one atomic step.
func (q *Queue) Books(ctx context.Context) (Books, error) {
	t, err := q.totals(ctx, "")
	return t.Books, err
}

// AcceptDifference writes the difference off, and returns how much it was and the books afterwards.
func (q *Queue) AcceptDifference(ctx context.Context) (int64, Books, error) {
	t, err := q.totals(ctx, "accept")
	return t.writtenOff, t.Books, err
}

// Totals are the books and what else metrics show of Redis, read in one step.
type Totals struct {
	Books
	Parked      int64
	Retrying    int64
	DeadLetters int64
	ParkedOrgs  int           // organizations that have parked events
	OldestAge   time.Duration // of the oldest event not finished; 0 where there is none
	Lost        int64         // by how much the difference has grown since any process looked

	writtenOff int64
}

// Totals reads them. What it reports as Lost it reports to nobody else.
func (q *Queue) Totals(ctx context.Context) (Totals, error) { return q.totals(ctx, "count") }

func (q *Queue) totals(ctx context.Context, wish string) (Totals, error) {
	r, err := q.run(ctx, booksScript, "", wish)
	if err != nil {
		return Totals{}, err
	}
	b := list(r[0])
	if len(r) != 8 || len(b) != 8 {
		return Totals{}, errReply
	}
	return Totals{
		Books: Books{
			Published: num(b[0]), Replayed: num(b[1]), Delivered: num(b[2]), Skipped: num(b[3]), Dead: num(b[4]), Duplicate: num(b[5]),
			Waiting: num(b[6]), Difference: num(b[7]),
		},
		writtenOff: num(r[1]), Lost: num(r[2]), Parked: num(r[3]), Retrying: num(r[4]),
		OldestAge: time.Duration(num(r[5])) * time.Millisecond, DeadLetters: num(r[6]), ParkedOrgs: int(num(r[7])),
	}, nil
}
