package command

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
)

func webhookCommand(version string) Command {
	return Command{
		Name:  "webhook",
		Usage: "set|show|enable|disable|delete|test|deliveries",
		Short: "Sets, shows and tests an organization's webhook",
		Long:  "Sets, shows, enables, disables, deletes and tests the webhook of an organization, and lists its latest deliveries.",
		Setup: func(cmd *cobra.Command) {
			f := new(storeFlags)
			f.register(cmd)
			group(cmd, webhookSet(f), webhookShow(f), webhookSwitch(f, true), webhookSwitch(f, false), webhookDelete(f),
				webhookTest(f, version), webhookDeliveries(f))
		},
	}
}

// policyFlags allow webhooks beyond public addresses over HTTPS.
type policyFlags struct {
	allowHTTP     bool
	allowNetworks []string
	caFile        string
}

func (p *policyFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&p.allowHTTP, "allow-http", false, "allow http:// webhooks; for development")
	flags.StringSliceVar(&p.allowNetworks, "allow-networks", nil, "`networks`, in CIDR notation, that webhooks may reach although they are not public; for development")
	flags.StringVar(&p.caFile, "ca-file", "", "`file` of PEM certificates that are trusted in addition to the system's")
}

func (p *policyFlags) networks() ([]netip.Prefix, error) {
	networks, err := address.ParseNetworks(p.allowNetworks)
	if err != nil {
		return nil, fmt.Errorf("--allow-networks: %w", err)
	}
	return networks, nil
}

func (p *policyFlags) policy() (*address.Policy, error) {
	networks, err := p.networks()
	return &address.Policy{AllowHTTP: p.allowHTTP, AllowNetworks: networks}, err
}

// webhookOutput is the JSON form of a webhook. Only the command that generates its secret shows it.
type webhookOutput struct {
	apimodel.Webhook
	Secret string `json:"secret,omitempty"`
}

// report prints a webhook. generated is its secret if this command has just generated it.
func (f *storeFlags) report(cmd *cobra.Command, h webhook.Webhook, generated string) error {
	if f.json {
		return printJSON(cmd, webhookOutput{Webhook: apimodel.WebhookOf(h), Secret: generated})
	}
	w := cmd.OutOrStdout()
	active, secret := "no: events are skipped", "none: deliveries are not signed"
	if h.Active {
		active = "yes"
	}
	if h.Secret.IsSet() {
		secret = "set"
	}
	fields(w,
		[2]string{"organization", h.OrgID},
		[2]string{"url", h.URL},
		[2]string{"active", active},
		[2]string{"secret", secret},
		[2]string{"created", formatTime(h.CreatedAt, "unknown")},
		[2]string{"updated", formatTime(h.UpdatedAt, "unknown")},
	)
	if generated != "" {
		_, err := fmt.Fprintf(w, "\n%s\n\n    %s\n\n", paint(w, bold, "The secret, which is shown only once:"), generated)
		return err
	}
	return nil
}

func webhookSet(f *storeFlags) *cobra.Command {
	var (
		org, url, secret   string
		generate, noSecret bool
		active             bool
		allowed            policyFlags
	)
	cmd := &cobra.Command{
		Use:   "set --org ORG --url URL [--secret @file|- | --generate-secret | --no-secret] [--active=false]",
		Short: "Sets an organization's webhook",
		Long: `Sets an organization's webhook: the URL that its events are posted to, the secret that signs them, and whether it is
active (by default it is). Without one of the flags for the secret, an existing webhook keeps its secret.`,
		Example: "  tenzo-gateway webhook set --org acme --url https://hooks.acme.com/tenzo --generate-secret",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOrg(org); err != nil {
				return err
			}
			policy, err := allowed.policy()
			if err != nil {
				return err
			}
			change := webhook.Change{URL: &url, Active: &active}
			generated := ""
			switch {
			case generate:
				generated = webhook.GenerateSecret()
				change.Secret = &generated
			case noSecret:
				change.Secret = new(string)
			case cmd.Flags().Changed("secret"):
				s, err := readSecret(cmd.InOrStdin(), "--secret", secret)
				if err != nil {
					return err
				}
				change.Secret = &s
			}
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				h, err := call(ctx, func(ctx context.Context) (webhook.Webhook, error) {
					return webhook.NewService(st, policy).Set(ctx, org, change, false)
				})
				if err != nil {
					return err
				}
				err = f.report(cmd, h, generated)
				if err != nil && generated != "" {
					return fmt.Errorf("the webhook has a new secret that was not shown; generate another: %w", err)
				}
				return err
			})
		},
	}
	orgFlag(cmd, &org)
	flags := cmd.Flags()
	flags.StringVar(&url, "url", "", "https:// `URL` that events are posted to (required)")
	flags.StringVar(&secret, "secret", "", "secret that signs deliveries: `@file`, or - for standard input")
	flags.BoolVar(&generate, "generate-secret", false, "generate a new secret and show it once")
	flags.BoolVar(&noSecret, "no-secret", false, "remove the secret: deliveries are not signed")
	flags.BoolVar(&active, "active", true, "whether events are delivered")
	_ = cmd.MarkFlagRequired("url") // the flag exists
	cmd.MarkFlagsMutuallyExclusive("secret", "generate-secret", "no-secret")
	allowed.register(cmd)
	return cmd
}

func webhookShow(f *storeFlags) *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use:   "show --org ORG",
		Short: "Shows an organization's webhook; exits 1 if there is none",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.onWebhook(cmd, org, func(ctx context.Context, w *webhook.Service) error {
				h, err := w.Get(ctx, org)
				if err != nil {
					return err
				}
				return f.report(cmd, h, "")
			})
		},
	}
	orgFlag(cmd, &org)
	return cmd
}

func webhookSwitch(f *storeFlags, active bool) *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use:   "enable --org ORG",
		Short: "Enables an organization's webhook",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.onWebhook(cmd, org, func(ctx context.Context, w *webhook.Service) error {
				h, err := w.Set(ctx, org, webhook.Change{Active: &active}, true)
				if err != nil {
					return err
				}
				return f.report(cmd, h, "")
			})
		},
	}
	if !active {
		cmd.Use, cmd.Short = "disable --org ORG", "Disables an organization's webhook: its events are skipped"
	}
	orgFlag(cmd, &org)
	return cmd
}

func webhookDelete(f *storeFlags) *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use:   "delete --org ORG",
		Short: "Deletes an organization's webhook and its secret",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.onWebhook(cmd, org, func(ctx context.Context, w *webhook.Service) error {
				if err := w.Delete(ctx, org); err != nil {
					return err
				}
				if f.json {
					return printJSON(cmd, struct {
						OrgID   string `json:"org_id"`
						Deleted bool   `json:"deleted"`
					}{org, true})
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Deleted the webhook of %s.\n", org)
				return err
			})
		},
	}
	orgFlag(cmd, &org)
	return cmd
}

// onWebhook calls run with a webhook service that cannot change a URL.
func (f *storeFlags) onWebhook(cmd *cobra.Command, org string, run func(context.Context, *webhook.Service) error) error {
	if err := checkOrg(org); err != nil {
		return err
	}
	return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
		ctx, cancel := context.WithTimeout(ctx, commandTimeout)
		defer cancel()
		err := run(ctx, webhook.NewService(st, &address.Policy{}))
		if errors.Is(err, webhook.ErrNotFound) {
			return fmt.Errorf("%s has no webhook: tenzo-gateway webhook set --org %[1]s --url URL", org)
		}
		return err
	})
}
