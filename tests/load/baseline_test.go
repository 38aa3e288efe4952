package load

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// bareEnv makes this test binary run the bare loop in a process of its own. Its value is the
// receiver's URL.
const bareEnv = "TENZO_LOAD_BARE"

// bareSecret signs the requests of the bare loop.
const bareSecret = "a secret of the usual length, more or less"

func TestMain(m *testing.M) {
	if url := os.Getenv(bareEnv); url != "" {
		if err := bare(url, os.Getenv("TENZO_REDIS_URL"), os.Getenv(bareEnv+"_CA")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// bare does the least that a delivery needs, and is the baseline of the dispatcher: it reads the
// stream in batches, signs the payload unchanged, posts it, and removes acknowledged entries in
// batches. It keeps no promise of the specification.
func bare(url, redisURL, caFile string) error {
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	ctx := context.Background()
	rdb := redis.NewClient(options)
	if err := rdb.XGroupCreateMkStream(ctx, "bare", "bare", "0").Err(); err != nil {
		return err
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: bareWorkers, MaxIdleConns: bareWorkers,
	}}
	entries, done := make(chan redis.XMessage, 512), make(chan string, 512)
	for range bareWorkers {
		go func() {
			for e := range entries {
				if err := post(client, url, e); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				done <- e.ID
			}
		}()
	}
	go func() {
		for id := range done {
			ids := []string{id}
			for more := true; more && len(ids) < 256; {
				select {
				case id := <-done:
					ids = append(ids, id)
				default:
					more = false
				}
			}
			pipe := rdb.Pipeline()
			pipe.XAck(ctx, "bare", "bare", ids...)
			pipe.XDel(ctx, "bare", ids...)
			if _, err := pipe.Exec(ctx); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}()
	for {
		streams, err := rdb.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "bare", Consumer: "bare", Streams: []string{"bare", ">"}, Count: 256, Block: time.Second}).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		for _, s := range streams {
			for _, e := range s.Messages {
				entries <- e
			}
		}
	}
}

// bareWorkers is the number of requests that the bare loop has in flight.
const bareWorkers = 64

func post(client *http.Client, url string, e redis.XMessage) error {
	body, _ := e.Values["payload"].(string)
	id, _ := e.Values["id"].(string)
	mac := hmac.New(sha256.New, []byte(bareSecret))
	mac.Write([]byte(body))
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("X-Webhook-Signature", hex.EncodeToString(mac.Sum(nil)))
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d", answer.StatusCode)
	}
	return nil
}
