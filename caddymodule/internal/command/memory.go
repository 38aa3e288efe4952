package command

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent is the GOGC of `dispatch`: what it allocates for an event is garbage a moment later, and little else is on its heap.
const gcPercent = 200

// boundMemory sets up the garbage collector of `dispatch`. As `run` has it from Caddy, GOMEMLIMIT becomes nine tenths of the container's
// memory, or of the machine's where no limit is set: so near a limit it collects more often instead of being killed. GOGC, GOMEMLIMIT and
// AUTOMEMLIMIT of the environment win.
func boundMemory(logger *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	// It logs its error itself; without a limit deliveries go on.
	_, _ = memlimit.Set(memlimit.WithLogger(logger), memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)))
}
