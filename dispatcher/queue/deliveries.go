package queue

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// The delivery log of an organization keeps this many attempts, and none for longer than this (specification.md, section 4).
const (
	deliveriesKept = 1000
	deliveriesLife = 30 * 24 * time.Hour
)

// Delivery is one attempt in an organization's delivery log.
type Delivery struct {
	ID       string // the Webhook-Id
	Event    string
	Attempt  int           // 1 is the first; 0 is a test
	Status   int           // 0: no answer came
	Error    string        // why it was not acknowledged, in words; empty where it was
	Duration time.Duration // kept in milliseconds
	At       time.Time     // when the attempt began
}

// Deliveries returns up to limit attempts of org, newest first, from cursor on (empty: the first page).
func (q *Queue) Deliveries(ctx context.Context, org string, limit int, cursor string) (config.Page[Delivery], error) {
	limit, from, err := page(limit, cursor)
	if err != nil {
		return config.Page[Delivery]{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	all, err := q.store.Client().XRevRangeN(ctx, q.names.Deliveries(org), from, oldestDelivery(), int64(limit+1)).Result()
	if err != nil {
		return config.Page[Delivery]{}, storeError(err)
	}
	var p config.Page[Delivery]
	for i, m := range all {
		if i == limit {
			p.NextCursor = all[i-1].ID
			break
		}
		f := m.Values
		d := Delivery{
			ID: str(f[store.DeliveryID]), Event: str(f[store.DeliveryEvent]), Attempt: int(num(f[store.DeliveryAttempt])),
			Status: int(num(f[store.DeliveryStatus])), Error: str(f[store.DeliveryError]),
			Duration: time.Duration(num(f[store.DeliveryDurationMS])) * time.Millisecond,
		}
		d.At, _ = time.Parse(time.RFC3339Nano, str(f[store.DeliveryAt]))
		p.Items = append(p.Items, d)
	}
	return p, nil
}

// LogAttempt adds one attempt to the delivery log of org.
func (q *Queue) LogAttempt(ctx context.Context, org string, d Delivery) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	pipe := q.store.Client().Pipeline()
	q.logAttempt(ctx, pipe, org, d)
	q.capLog(ctx, pipe, org)
	_, err := pipe.Exec(ctx)
	return err
}

// logAttempt adds an attempt; capLog must follow in the same pipeline, once for each organization.
func (q *Queue) logAttempt(ctx context.Context, pipe redis.Pipeliner, org string, d Delivery) *redis.StringCmd {
	return pipe.XAdd(ctx, &redis.XAddArgs{Stream: q.names.Deliveries(org), Values: []any{
		store.DeliveryID, d.ID, store.DeliveryEvent, d.Event, store.DeliveryAttempt, d.Attempt, store.DeliveryStatus, status(d.Status),
		store.DeliveryError, d.Error, store.DeliveryDurationMS, d.Duration.Milliseconds(),
		store.DeliveryAt, store.TimeText(d.At),
	}})
}

// capLog keeps the delivery log of org within its bounds.
func (q *Queue) capLog(ctx context.Context, pipe redis.Pipeliner, org string) {
	pipe.XTrimMaxLen(ctx, q.names.Deliveries(org), deliveriesKept)
	pipe.XTrimMinID(ctx, q.names.Deliveries(org), oldestDelivery())
	pipe.PExpire(ctx, q.names.Deliveries(org), deliveriesLife)
}

// oldestDelivery is the id before which the delivery log keeps nothing.
func oldestDelivery() string {
	return strconv.FormatInt(time.Now().Add(-deliveriesLife).UnixMilli(), 10)
}

var streamID = regexp.MustCompile(`^[0-9]{1,15}-[0-9]{1,20}$`)

// page reads a list's limit and cursor, the id of the last entry of the page before; from is where the range begins, "+" for the first.
func page(limit int, cursor string) (n int, from string, err error) {
	n, err = config.PageLimit(limit)
	switch {
	case err != nil:
		return 0, "", err
	case cursor == "":
		return n, "+", nil
	case !streamID.MatchString(cursor) || strings.Trim(cursor, "0-") == "": // Redis knows nothing before 0-0
		return 0, "", config.ErrInvalidCursor
	}
	return n, "(" + cursor, nil
}
