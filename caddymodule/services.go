package caddymodule

import (
	"fmt"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// newAPI makes the HTTP API over a core, as the admin endpoint and Developer Tools serve it. Which webhooks may be saved and tested is what
// this configuration's deliveries allow: only public HTTPS addresses where it has none.
//
// The tester keeps connections: close it once no request needs the API any more.
func newAPI(c *core, deliver *dispatcherSettings) (*api.API, *dispatcher.Tester, error) {
	o := dispatcher.Defaults()
	if deliver != nil {
		o = deliver.options
	}
	o.Version, o.Logger, o.Metrics = version(), c.logger, metrics.webhooks
	tester, err := dispatcher.NewTester(c.store, o)
	if err != nil {
		return nil, nil, fmt.Errorf("webhooks: %w", err)
	}
	policy := &address.Policy{AllowHTTP: o.AllowHTTP, AllowNetworks: o.AllowNetworks}
	return api.New(api.Services{
		Keys:     config.NewKeys(c.store),
		Webhooks: config.NewWebhooks(c.store, policy),
		Queue: queue.New(c.store, queue.Options{
			MaxPayload: o.MaxPayload, DeadRetention: o.DeadRetention, DeadLimit: o.DeadLimit, Logger: c.logger,
		}),
		Tester: tester,
		Logger: c.logger,
	}), tester, nil
}
