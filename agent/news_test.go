package agent

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"ec2net/metadata"
)

// News of the cloud's come from the request that waits for them; a failure is none, and where the cloud tells nothing
// nobody goes on waiting.
func TestAwaitNews(t *testing.T) {
	t.Parallel()
	changes := make(chan string)
	known := "a1"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag := known
		if r.URL.Query().Get("wait_for_change") != "" {
			select {
			case tag = <-changes:
			case <-r.Context().Done():
				return
			}
		}
		if tag == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Metadata-Flavor", "Google")
		w.Header().Set("ETag", tag)
		fmt.Fprint(w, `[{"mac":"42:01:0a:80:00:07","ip":"10.128.0.7"}]`)
	}))
	t.Cleanup(server.Close)
	cloud, err := metadata.NewGCE(metadata.GCEOptions{Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cloud.Close)
	ctx, cancel := context.WithCancel(t.Context())
	news, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		awaitNews(ctx, cloud, news)
	}()
	for _, tag := range []string{"", "a1", "b2", "c3"} {
		changes <- tag
		if tag == "b2" || tag == "c3" {
			<-news
		}
	}
	select {
	case <-news:
		t.Error("there were more news than changes")
	default:
	}
	cancel()
	<-ended
	awaitNews(t.Context(), &metadata.EC2{}, nil)
}
