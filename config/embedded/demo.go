package embedded

import (
	"context"
	"fmt"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

// DemoOrg is the organization made on a fresh embedded server.
const DemoOrg = "demo"

// Demo makes a key of the demo organization, to be shown once to whoever tries the gateway.
func Demo(ctx context.Context, keys *apikey.Service) (apikey.Created, error) {
	created, err := keys.Create(ctx, DemoOrg, apikey.Params{Name: "Demo"})
	if err != nil {
		return apikey.Created{}, fmt.Errorf("making the demo key: %w", err)
	}
	return created, nil
}
