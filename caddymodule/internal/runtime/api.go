package runtime

import (
	"fmt"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// testLinger is how long a test delivery may take that a request of a former configuration began:
// one attempt of 30 s.
const testLinger = 35 * time.Second

// NewAPI creates the HTTP API that the admin endpoint and Developer Tools serve. The options of
// deliveries decide which webhook URLs may be saved and tested.
//
// NewAPI also returns a function that closes the connections of test deliveries. It works in the
// background, after the last request that may still use the API.
func (r *Runtime) NewAPI(o dispatcher.Options) (a *api.API, closeLater func(), err error) {
	o.Logger, o.Metrics = r.logger, metrics.webhooks
	tester, err := dispatcher.NewTester(r.store, o)
	if err != nil {
		return nil, nil, fmt.Errorf("webhooks: %w", err)
	}
	policy := &address.Policy{AllowHTTP: o.AllowHTTP, AllowNetworks: o.AllowNetworks}
	a = api.New(api.Services{
		Keys:     apikey.NewService(r.store),
		Webhooks: webhook.NewService(r.store, policy),
		Queue: queue.New(r.store, queue.Options{
			MaxPayload: o.MaxPayload, DeadRetention: o.DeadRetention, DeadLimit: o.DeadLimit,
		}),
		Tester: tester,
		Logger: r.logger,
	})
	return a, func() { teardowns.later(testLinger, tester.Close) }, nil
}
