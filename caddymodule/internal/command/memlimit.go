package command

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is the GOGC of `dispatch`. What it allocates for an event soon becomes garbage, and
// little else is on its heap.
const gcPercent = 200

// setMemoryLimit configures the garbage collector of `dispatch`. Like Caddy's `run`, it sets
// GOMEMLIMIT to nine tenths of the container's memory, or of the machine's if there is no limit:
// near the limit the process then collects more often instead of being killed. GOGC, GOMEMLIMIT and
// AUTOMEMLIMIT of the environment take precedence.
func setMemoryLimit(logger *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// memlimit logs its error; deliveries work without a limit, too.
	_, _ = memlimit.Set(memlimit.WithLogger(logger), memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)))
}
