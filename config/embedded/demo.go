package embedded

import (
	"context"
	"fmt"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// DemoOrg is the organization made on a fresh embedded server.
const DemoOrg = "demo"

// Demo makes a key of the demo organization, to be shown once to whoever tries the gateway.
func Demo(ctx context.Context, keys *config.Keys) (config.CreatedKey, error) {
	created, err := keys.Create(ctx, DemoOrg, config.NewKey{Name: "Demo"})
	if err != nil {
		return config.CreatedKey{}, fmt.Errorf("making the demo key: %w", err)
	}
	return created, nil
}
