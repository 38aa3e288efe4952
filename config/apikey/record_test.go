package apikey

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

func TestFromHash(t *testing.T) {
	past, future := "2020-01-01T00:00:00Z", "2999-01-01T00:00:00+02:00"
	good := func(more ...string) map[string]string {
		f := map[string]string{"id": "key_1", "org_id": "acme", "name": "CI", "hint": "tenzo_pk_...abcd", "created_at": past}
		for i := 0; i < len(more); i += 2 {
			f[more[i]] = more[i+1]
		}
		return f
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		fields map[string]string
		status string // empty: invalid
	}{
		"good":                                  {good(), StatusActive},
		"further fields":                        {good("color", "red"), StatusActive},
		"expires later":                         {good("expires_at", future), StatusActive},
		"expired":                               {good("expires_at", past), StatusExpired},
		"expired with a fraction":               {good("expires_at", "2020-01-01T00:00:00.123456Z"), StatusExpired},
		"expired in year 1":                     {good("expires_at", "0001-01-01T00:00:00Z"), StatusExpired},
		"empty times":                           {good("expires_at", "", "revoked_at", ""), StatusActive},
		"revoked":                               {good("revoked_at", past), StatusRevoked},
		"revoked in the future":                 {good("revoked_at", future), StatusRevoked},
		"revoked with nonsense":                 {good("revoked_at", "yes"), StatusRevoked},
		"revoked with a space":                  {good("revoked_at", " "), StatusRevoked},
		"revoked in year 1":                     {good("revoked_at", "0001-01-01T00:00:00Z"), StatusRevoked},
		"revoked before unreadable":             {good("revoked_at", "0", "expires_at", "soon"), StatusRevoked},
		"revoked before ill-formed":             {map[string]string{"revoked_at": "x"}, StatusRevoked},
		"revoked before expired":                {good("revoked_at", past, "expires_at", past), StatusRevoked},
		"unreadable expiry":                     {good("expires_at", "soon"), ""},
		"expiry without a zone":                 {good("expires_at", "2999-01-01T00:00:00"), ""},
		"expires in small letters":              {good("expires_at", "2999-01-01t00:00:00z"), StatusActive},
		"expires in year 10000, said in UTC":    {good("expires_at", "9999-12-31T23:59:59-05:00"), StatusActive},
		"expired before year 0, said in UTC":    {good("expires_at", "0000-01-01T00:00:00+05:00"), StatusExpired},
		"expiry with a zone of a day":           {good("expires_at", "2999-01-01T00:00:00+24:00"), ""},
		"expiry with a zone of sixty minutes":   {good("expires_at", "2999-01-01T00:00:00+23:60"), ""},
		"expiry with an hour of one digit":      {good("expires_at", "2999-01-01T1:00:00Z"), ""},
		"expiry with a comma":                   {good("expires_at", "2999-01-01T00:00:00,5Z"), ""},
		"expiry as a number":                    {good("expires_at", "32503680000"), ""},
		"no id":                                 {map[string]string{"org_id": "acme"}, ""},
		"ill-formed id":                         {good("id", "a b"), ""},
		"no organization":                       {map[string]string{"id": "key_1"}, ""},
		"ill-formed organization":               {good("org_id", "acme\r\nX-Evil: 1"), ""},
		"nothing":                               {map[string]string{}, ""},
		"nil":                                   {nil, ""},
		"unreadable creation is of no interest": {good("created_at", "x"), StatusActive},
	} {
		k, err := FromHash(tc.fields)
		if tc.status == "" {
			if !errors.Is(err, ErrInvalidRecord) {
				t.Errorf("%s: %v, %v", name, k, err)
			}
			continue
		}
		if err != nil || k.Status(now) != tc.status {
			t.Errorf("%s: %s, %v", name, k.Status(now), err)
		}
		if _, err := json.Marshal([]time.Time{k.CreatedAt.UTC(), k.ExpiresAt.UTC(), k.RevokedAt.UTC()}); err != nil {
			t.Errorf("%s: cannot be listed: %v", name, err)
		}
	}
	k, err := FromHash(good("name", "evil\r\nname\xff"))
	if err != nil || k.Name != "evilname" {
		t.Errorf("name %q, %v", k.Name, err)
	}
	at, _ := time.Parse(time.RFC3339, past)
	if k.Status(at) != StatusActive || (Key{ExpiresAt: at}).Status(at) != StatusExpired || (Key{ExpiresAt: at}).Status(at.Add(-1)) != StatusActive {
		t.Error("a key expires at its instant")
	}
}

func FuzzFromHash(f *testing.F) {
	f.Add("key_1", "acme", "n", "2020-01-01T00:00:00Z", "", "")
	f.Add("", "acme", "n\r\n", "x", "0001-01-01T00:00:00Z", "x")
	f.Fuzz(func(t *testing.T, id, org, name, created, expires, revoked string) {
		k, err := FromHash(map[string]string{"id": id, "org_id": org, "name": name, "created_at": created, "expires_at": expires, "revoked_at": revoked})
		switch {
		case revoked != "" && (err != nil || k.Status(time.Now()) != StatusRevoked):
			t.Error("a revoked key is not")
		case revoked == "" && err == nil && (!config.ValidID(k.ID) || !config.ValidID(k.OrgID)):
			t.Errorf("passed: %+v", k)
		case revoked == "" && err == nil && expires != "" && k.ExpiresAt.IsZero():
			t.Error("an expiry was lost")
		case k.Name != "" && !validName(k.Name):
			t.Errorf("name %q", k.Name)
		}
	})
}
