package observability

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// kubernetes reads the manifest's objects by kind and name.
func kubernetes(t *testing.T) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	d := yaml.NewDecoder(bytes.NewReader([]byte(read(t, inConfig(t, "examples", "kubernetes", "tenzo.yaml")))))
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

type probe struct {
	HTTPGet httpGet `yaml:"httpGet"`
}

type httpGet struct{ Path, Port string }
