package devtools

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The samples, each run by its own language, accept the signature of a delivery and nothing else.
func TestSamplesVerify(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GO111MODULE=on")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return string(out)
	}
	source, err := embedded.ReadFile("assets/samples.js")
	if err != nil {
		t.Fatal(err)
	}
	write("samples.mjs", string(source))
	var samples map[string]string
	text := run("node", "--input-type=module", "-e", `import { samples } from "./samples.mjs"; console.log(JSON.stringify(samples))`)
	if err := json.Unmarshal([]byte(text), &samples); err != nil || len(samples) != 3 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}

	const secret = "whsec_tést"
	const payload = `{"event":"note.finalized","name":"Zoë ☂"}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(payload))
	good := hex.EncodeToString(mac.Sum(nil))
	type try struct {
		Payload, Signature, Secret string
		Want                       bool
	}
	tries := []try{
		{payload, good, secret, true},
		{payload + " ", good, secret, false},
		{payload, good, secret + "x", false},
		{payload, good[:62], secret, false},
		{payload, "", secret, false},
		{payload, "no hex at all", secret, false},
		{payload, "é" + good[1:], secret, false}, // not ASCII
	}
	cases, err := json.Marshal(tries)
	if err != nil {
		t.Fatal(err)
	}
	write("cases.json", string(cases))

	write("sample.py", samples["Python"])
	write("try.py", `import json
from sample import verify_signature
for c in json.load(open("cases.json", encoding="utf-8")):
    assert verify_signature(c["Payload"].encode(), c["Signature"], c["Secret"]) == c["Want"], c
assert not verify_signature(b"x", None, "s")  # no header
assert not verify_signature(b"x", "\udce9", "s")  # a byte that is not UTF-8
print("ok")
`)
	write("sample.mjs", samples["Node"])
	write("try.mjs", `import { readFileSync } from "node:fs";
import { verifySignature } from "./sample.mjs";
for (const c of JSON.parse(readFileSync("cases.json", "utf8"))) {
  if (verifySignature(Buffer.from(c.Payload), c.Signature, c.Secret) !== c.Want) throw new Error(JSON.stringify(c));
}
if (verifySignature(Buffer.from("x"), undefined, "s")) throw new Error("no header");
console.log("ok");
`)
	write("go.mod", "module webhook\n\ngo 1.24\n")
	write("webhook.go", samples["Go"])
	write("webhook_test.go", `package webhook

import (
	"encoding/json"
	"os"
	"testing"
)

func TestSample(t *testing.T) {
	text, err := os.ReadFile("cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Payload, Signature, Secret string
		Want                       bool
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if VerifySignature([]byte(c.Payload), c.Signature, c.Secret) != c.Want {
			t.Errorf("%+v", c)
		}
	}
}
`)
	for _, got := range []string{run("python3", "try.py"), run("node", "try.mjs")} {
		if got != "ok\n" {
			t.Error(got)
		}
	}
	run("go", "test", "./...")
	if out := run("gofmt", "-l", "webhook.go"); out != "" {
		t.Error("the Go sample is not formatted as gofmt does")
	}
}
