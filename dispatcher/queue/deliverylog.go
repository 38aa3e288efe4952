package queue

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// The bounds of the delivery log of an organization (specification.md, section 4): the number of
// attempts, and their age.
const (
	maxDeliveries     = 1000
	deliveryRetention = 30 * 24 * time.Hour
)

// The errors of events that were skipped without an attempt, in the delivery log.
const (
	SkippedInactive  = "skipped: the webhook is inactive"
	SkippedNoWebhook = "skipped: the organization has no webhook (one such line a day)"
)

// Delivery is one line in the delivery log of an organization: an attempt, or an event that was
// skipped without one.
type Delivery struct {
	ID       string // the Webhook-Id
	Event    string
	Attempt  int           // 1 is the first; 0 is a test or a skipped event
	Status   int           // 0: no response came
	Error    string        // plain words; empty where the attempt was acknowledged
	Duration time.Duration // stored in milliseconds
	At       time.Time     // when the attempt began
}

// Skipped reports whether the line is of an event that was skipped, not of an attempt.
func (d Delivery) Skipped() bool {
	return d.Attempt == 0 && (d.Error == SkippedInactive || d.Error == SkippedNoWebhook)
}

// Deliveries returns up to limit attempts of org, newest first, from cursor on (empty: the first
// page).
func (q *Queue) Deliveries(ctx context.Context, org string, limit int, cursor string) (config.Page[Delivery], error) {
	limit, from, err := parsePage(limit, cursor)
	if err != nil {
		return config.Page[Delivery]{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	all, err := q.store.Client().XRevRangeN(ctx, q.names.Deliveries(org), from, oldestDeliveryID(), int64(limit+1)).Result()
	if err != nil {
		return config.Page[Delivery]{}, managementError(err)
	}
	var p config.Page[Delivery]
	for i, m := range all {
		if i == limit {
			p.NextCursor = all[i-1].ID
			break
		}
		p.Items = append(p.Items, parseDelivery(m))
	}
	return p, nil
}

func parseDelivery(m redis.XMessage) Delivery {
	f := m.Values
	d := Delivery{
		ID: str(f[store.DeliveryID]), Event: str(f[store.DeliveryEvent]),
		Attempt: int(num(f[store.DeliveryAttempt])), Status: int(num(f[store.DeliveryStatus])),
		Error:    str(f[store.DeliveryError]),
		Duration: time.Duration(num(f[store.DeliveryDurationMS])) * time.Millisecond,
	}
	d.At, _ = time.Parse(time.RFC3339Nano, str(f[store.DeliveryAt]))
	return d
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

// logAttempt adds an attempt. capLog must follow in the same pipeline, once for each organization.
func (q *Queue) logAttempt(ctx context.Context, pipe redis.Pipeliner, org string, d Delivery) *redis.StringCmd {
	return pipe.XAdd(ctx, &redis.XAddArgs{Stream: q.names.Deliveries(org), Values: []any{
		store.DeliveryID, d.ID,
		store.DeliveryEvent, d.Event,
		store.DeliveryAttempt, d.Attempt,
		store.DeliveryStatus, status(d.Status),
		store.DeliveryError, d.Error,
		store.DeliveryDurationMS, d.Duration.Milliseconds(),
		store.DeliveryAt, store.FormatTime(d.At),
	}})
}

// capLog keeps the delivery log of org within its bounds.
func (q *Queue) capLog(ctx context.Context, pipe redis.Pipeliner, org string) {
	pipe.XTrimMaxLen(ctx, q.names.Deliveries(org), maxDeliveries)
	pipe.XTrimMinID(ctx, q.names.Deliveries(org), oldestDeliveryID())
	pipe.PExpire(ctx, q.names.Deliveries(org), deliveryRetention)
}

// oldestDeliveryID returns the stream id before which the delivery log keeps nothing.
func oldestDeliveryID() string {
	return strconv.FormatInt(time.Now().Add(-deliveryRetention).UnixMilli(), 10)
}
