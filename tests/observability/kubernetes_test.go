package observability

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// kubernetes returns the manifest's objects by kind and name.
func kubernetes(t *testing.T) map[string]map[string]any {
	t.Helper()
	return objects(t, "tenzo.yaml")
}

func objects(t *testing.T, file string) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	d := yaml.NewDecoder(bytes.NewReader([]byte(read(t, inConfig(t, "examples", "kubernetes", file)))))
	for {
		var o map[string]any
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects[o["kind"].(string)+" "+o["metadata"].(map[string]any)["name"].(string)] = o
	}
}

func TestKubernetesManifestIsWhole(t *testing.T) {
	for _, name := range []string{"tenzo-gateway", "tenzo-dispatcher"} {
		var d struct {
			Spec struct {
				Selector struct {
					MatchLabels map[string]string `yaml:"matchLabels"`
				}
				Template struct {
					Metadata struct{ Labels map[string]string }
					Spec     struct {
						Grace      int `yaml:"terminationGracePeriodSeconds"`
						Containers []struct {
							Args  []string
							Ports []struct {
								Name          string
								ContainerPort int `yaml:"containerPort"`
							}
							LivenessProbe  probe `yaml:"livenessProbe"`
							ReadinessProbe probe `yaml:"readinessProbe"`
						}
					}
				}
			}
		}
		text, err := yaml.Marshal(kubernetes(t)["Deployment "+name])
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		pod := d.Spec.Template
		if pod.Spec.Grace != 45 || len(pod.Spec.Containers) != 1 {
			t.Fatalf("%s: the pod is %+v", name, pod.Spec)
		}
		for label, value := range d.Spec.Selector.MatchLabels {
			if pod.Metadata.Labels[label] != value {
				t.Errorf("%s selects other pods than its own", name)
			}
		}
		c := pod.Spec.Containers[0]
		status := 0
		for _, p := range c.Ports {
			if p.Name == "status" {
				status = p.ContainerPort
			}
		}
		if c.LivenessProbe.HTTPGet != (httpGet{"/livez", "status"}) || c.ReadinessProbe.HTTPGet != (httpGet{"/readyz", "status"}) {
			t.Errorf("%s: the probes are %+v and %+v", name, c.LivenessProbe, c.ReadinessProbe)
		}
		if name == "tenzo-gateway" {
			if !strings.Contains(caddyfiles(t)["kubernetes"], "http://:"+strconv.Itoa(status)+" {") {
				t.Errorf("the Caddyfile does not listen on the status port %d", status)
			}
			continue
		}
		if !slices.Contains(c.Args, ":"+strconv.Itoa(status)) {
			t.Errorf("the dispatcher does not listen on the status port %d", status)
		}
		checkFlags(t, c.Args)
	}
}

// Pods of gateways and of dispatchers are spread over nodes, are not evicted all at once, and
// expose their status port to Prometheus only.
func TestKubernetesManifestKeepsPodsUp(t *testing.T) {
	all := kubernetes(t)
	for _, name := range []string{"tenzo-gateway", "tenzo-dispatcher"} {
		label := "app.kubernetes.io/name: " + name
		text := func(kind string) string {
			out, err := yaml.Marshal(all[kind+" "+name])
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		for kind, wanted := range map[string][]string{
			"Deployment":          {label, "topologySpreadConstraints", "registry.example.com/tenzo-gateway:VERSION", "timeoutSeconds: 3", "timeoutSeconds: 5"},
			"PodDisruptionBudget": {label, "minAvailable: 1"},
			"NetworkPolicy":       {label, "port: status", "kubernetes.io/metadata.name: monitoring"},
		} {
			for _, part := range wanted {
				if !strings.Contains(text(kind), part) {
					t.Errorf("%s %s lacks %s", kind, name, part)
				}
			}
		}
		if strings.Contains(text("Deployment"), "failureThreshold: 1") {
			t.Errorf("one slow answer makes %s unready", name)
		}
	}
}

// Both scrape configurations find the pods by their label, and use the job names that alerts and
// dashboards expect.
func TestKubernetesPodsAreScraped(t *testing.T) {
	var monitor struct {
		Spec struct {
			JobLabel string `yaml:"jobLabel"`
			Selector struct {
				MatchExpressions []struct {
					Key    string
					Values []string
				} `yaml:"matchExpressions"`
			}
			PodMetricsEndpoints []struct{ Port string } `yaml:"podMetricsEndpoints"`
		}
	}
	text, err := yaml.Marshal(objects(t, "podmonitor.yaml")["PodMonitor tenzo"])
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &monitor); err != nil {
		t.Fatal(err)
	}
	const label = "app.kubernetes.io/name"
	s := monitor.Spec
	if s.JobLabel != label || len(s.Selector.MatchExpressions) != 1 || s.Selector.MatchExpressions[0].Key != label ||
		!slices.Equal(s.Selector.MatchExpressions[0].Values, []string{"tenzo-gateway", "tenzo-dispatcher"}) ||
		len(s.PodMetricsEndpoints) != 1 || s.PodMetricsEndpoints[0].Port != "status" {
		t.Errorf("the PodMonitor is %+v", s)
	}
	var config struct {
		ScrapeConfigs []struct {
			RelabelConfigs []struct {
				SourceLabels []string `yaml:"source_labels"`
				Regex        string
				Action       string
				TargetLabel  string `yaml:"target_label"`
			} `yaml:"relabel_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, inConfig(t, "examples", "kubernetes", "prometheus.yml"), &config)
	kept, named := false, false
	for _, r := range config.ScrapeConfigs[0].RelabelConfigs {
		if slices.Equal(r.SourceLabels, []string{"__meta_kubernetes_pod_label_app_kubernetes_io_name"}) {
			kept = kept || r.Action == "keep" && regexp.MustCompile("^(?:"+r.Regex+")$").MatchString("tenzo-dispatcher")
			named = named || r.TargetLabel == "job"
		}
	}
	if !kept || !named {
		t.Errorf("the scrape configuration is %+v", config)
	}
}

type probe struct {
	HTTPGet httpGet `yaml:"httpGet"`
}

type httpGet struct{ Path, Port string }
