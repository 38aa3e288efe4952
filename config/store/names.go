package store

import "strings"

// DefaultPrefix begins every key unless key_prefix says otherwise (specification.md, section 4).
const DefaultPrefix = "tenzo:"

// SchemaVersion is the value of the schema marker that this code understands (specification.md,
// section 4).
const SchemaVersion = "1"

// ConsumerGroup is the dispatcher's group on the events stream (specification.md, section 4).
const ConsumerGroup = "dispatcher"

// Fields of the hash of an API key.
const (
	KeyID        = "id"
	KeyOrgID     = "org_id"
	KeyName      = "name"
	KeyHint      = "hint"
	KeyCreatedAt = "created_at"
	KeyExpiresAt = "expires_at"
	KeyRevokedAt = "revoked_at"
)

// Fields of the usage hash of a key. Its other fields are private to the gateways that count.
const (
	UsageCount      = "count"
	UsageLastUsedAt = "last_used_at"
)

// Fields of the hash of the webhook of an organization.
const (
	WebhookURL       = "url"
	WebhookSecret    = "secret"
	WebhookActive    = "active"
	WebhookCreatedAt = "created_at"
	WebhookUpdatedAt = "updated_at"
)

// Fields of an entry of the changes stream, which names the changed hash.
const (
	ChangeKey     = "key"     // the sha256 hex of the key
	ChangeWebhook = "webhook" // the organization's id
)

// ChangesMaxLen is the approximate cap of the changes stream (MAXLEN ~).
const ChangesMaxLen = 10000

// Fields of an entry of the events stream.
const (
	EventName    = "event"
	EventOrgID   = "org_id"
	EventPayload = "payload"
	EventID      = "id"
)

// Further fields of an entry of the dead stream. A replayed event also carries published_at,
// privately.
const (
	DeadPublishedAt = "published_at"
	DeadReason      = "reason"
	DeadAttempts    = "attempts"
	DeadLastStatus  = "last_status"
	DeadLastError   = "last_error"
	DeadFirstSeenAt = "first_seen_at"
)

// Fields of an entry of the delivery log of an organization.
const (
	DeliveryID         = "id"
	DeliveryEvent      = "event"
	DeliveryAttempt    = "attempt"
	DeliveryStatus     = "status"
	DeliveryError      = "error"
	DeliveryDurationMS = "duration_ms"
	DeliveryAt         = "at"
)

// The prefixes, after Slot, of the helper keys that depend on a process or on the fields of an
// entry. Only the scripts of the queue build these keys; package queue hands them the prefixes.
const (
	LeasePrefix    = "lease:"    // + process: the string with a time to live that keeps its work
	HeldPrefix     = "held:"     // + process: the hash of the entries that it works on
	ParkedPrefix   = "parked:"   // + organization: the sorted set of its parked entries
	ProgressPrefix = "progress:" // + entry: the hash of what is known beyond its first attempt
	MarkPrefix     = "mark:"     // + organization/id: the string that deduplicates an event id
)

// Names builds the names of the keys that this code uses in Redis. Besides it, only the Lua library
// of package queue spells names, those under Slot.
type Names struct {
	prefix string
	// "{<prefix>events}:", the hash slot that the events stream shares with its helper keys.
	slot string
}

// NewNames returns the names under a prefix without braces.
func NewNames(prefix string) Names {
	return Names{prefix: prefix, slot: "{" + prefix + "events}:"}
}

// ValidPrefix reports whether p can begin every key: it is not empty and contains neither braces,
// which would move the hash slots, nor spaces.
func ValidPrefix(p string) bool { return p != "" && !strings.ContainsAny(p, "{} \t\r\n") }

// Key is the hash of an API key, by the sha256 hex of the whole key.
func (n Names) Key(hash string) string { return n.prefix + "key:" + hash }

// KeyByID is the string that maps a key id to the sha256 hex of the key.
func (n Names) KeyByID(id string) string { return n.prefix + "key-id:" + id }

// OrgKeys is the sorted set of the keys of an organization: sha256 hex by created_at in Unix
// milliseconds.
func (n Names) OrgKeys(org string) string { return n.prefix + "org:" + org + ":keys" }

// Usage is the hash that counts the use of a key.
func (n Names) Usage(keyID string) string { return n.prefix + "usage:" + keyID }

// Webhook is the hash of the webhook of an organization.
func (n Names) Webhook(org string) string { return n.prefix + "webhook:" + org }

// Changes is the stream that announces changes of keys and webhooks.
func (n Names) Changes() string { return n.prefix + "changes" }

// Schema is the marker of a Redis that holds our data.
func (n Names) Schema() string { return n.prefix + "schema" }

// Deliveries is the capped stream of the attempts of an organization.
func (n Names) Deliveries(org string) string { return n.prefix + "deliveries:" + org }

// Events is the stream that producers publish to.
func (n Names) Events() string { return n.prefix + "events" }

// The names below share the hash slot of Events, so that one script may use them all, in a Cluster
// too.

// Dead is the stream of dead letters.
func (n Names) Dead() string { return n.slot + "dead" }

// DeadByOrg is the sorted set, read by lexicographic range, that lists the dead letters of an
// organization.
func (n Names) DeadByOrg() string { return n.slot + "dead-orgs" }

// DeadByID is the sorted set, read by lexicographic range, that finds dead letters by their event
// id.
func (n Names) DeadByID() string { return n.slot + "dead-ids" }

// Books is the hash of totals that must balance (specification.md, section 6).
func (n Names) Books() string { return n.slot + "books" }

// Processes is the sorted set of dispatcher processes that may hold events.
func (n Names) Processes() string { return n.slot + "processes" }

// Retry is the sorted set of entries that are due at their score, in Unix milliseconds.
func (n Names) Retry() string { return n.slot + "retry" }

// ParkedOrgs is the sorted set of organizations with parked entries, by when they were last served.
func (n Names) ParkedOrgs() string { return n.slot + "parked" }

// Slot is the prefix of the names in the hash slot of Events. Scripts append the names that depend
// on the fields of an entry or on a process.
func (n Names) Slot() string { return n.slot }
