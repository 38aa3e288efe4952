package config

// This file is what the scripts of the services share: how they announce a change, and how they work on a full Redis.

import (
	"context"
	"fmt"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// lib stands before the scripts that use its functions.
//
// A Redis at maxmemory refuses a script that writes what could take memory, unless the script has written before: it cannot be stopped
// halfway. So what must work on a full Redis writes something first that takes none, and be it in vain. evenWhereFull does so with a field
// that no hash has; announce, which may stand alone, by trimming. DEL would do as well.
const lib = `
local function evenWhereFull(hash)
  redis.call('HDEL', hash, '_')
end

local function announce(stream, cap, field, value)
  redis.call('XTRIM', stream, 'MAXLEN', '~', cap)
  redis.call('XADD', stream, '*', field, value)
end
`

// announceAlone announces a change by itself. KEYS: changes. ARGV: cap of changes, change field, value.
var announceAlone = redis.NewScript(lib + `
announce(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return 1`)

// announce adds a change entry by itself, as a Cluster needs it: field is store.ChangeKey or store.ChangeWebhook.
func announce(ctx context.Context, st *store.Store, field, value string) error {
	err := announceAlone.Run(ctx, st.Client(), []string{st.Names().Changes()}, store.ChangesMaxLen, field, value).Err()
	if err != nil {
		return fmt.Errorf("announcing the change: %w", err)
	}
	return nil
}

// notAnnounced says that a change was made, but that running processes were not told of it: detail says what that means and what to do,
// cause why. It happens in a Cluster alone, where the announcement is a step of its own.
func notAnnounced(detail string, cause error) error {
	return fmt.Errorf("%w: %w", &problem.Error{Status: http.StatusServiceUnavailable, Code: "change_not_announced", Detail: detail}, cause)
}
