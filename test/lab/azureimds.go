package lab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// azureVersions are the versions of Azure's metadata service, oldest first.
var azureVersions = []string{
	"2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02", "2018-10-01",
	"2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01",
	"2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01",
	"2021-05-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15", "2024-03-15",
	"2024-07-17", "2025-04-07",
}

// azureLimit is how many requests a second Azure's service answers to one machine.
const azureLimit = 5

// azure is what the server knows when it is Azure's.
type azure struct {
	versions []string    // oldest first
	limit    int         // requests a second; 0 for any number
	recent   []time.Time // of those answered in the last second
}

// Versions makes Azure's service know only some versions of its interface, oldest first: an old host, or one
// that has forgotten the old ones.
func (s *IMDS) Versions(known ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.azure.versions = slices.Clone(known)
}

// Limit sets how many requests a second are answered; the others get 429. 0 is without limit, which is how
// EC2's service begins; Azure's begins with 5.
func (s *IMDS) Limit(perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.azure.limit = perSecond
}

// throttled counts a request. The caller holds the lock.
func (a *azure) throttled(now time.Time) bool {
	if a.limit == 0 {
		return false
	}
	a.recent = slices.DeleteFunc(a.recent, func(t time.Time) bool { return now.Sub(t) >= time.Second })
	if len(a.recent) >= a.limit {
		return true
	}
	a.recent = append(a.recent, now)
	return false
}

// azurePath reduces a request's path to what lies below /metadata.
func azurePath(p string) (key string, known bool) {
	parts := strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
	if len(parts) == 0 || parts[0] != "metadata" {
		return "", false
	}
	return strings.Join(parts[1:], "/"), true
}

// rightAzure is the answer of Azure's service without faults other than in its document. The caller holds
// the lock.
func (s *IMDS) rightAzure(r *http.Request, req *Request, key string, known bool, node *Node, via *iface) reply {
	query := r.URL.Query()
	switch {
	case s.azure.throttled(req.Time):
		return problem(http.StatusTooManyRequests, "Too many requests")
	case r.Method != http.MethodGet:
		return problem(http.StatusMethodNotAllowed, "Method not allowed")
	case len(r.Header.Values("X-Forwarded-For")) > 0:
		return problem(http.StatusBadRequest, "Bad request. X-Forwarded-For header is not allowed")
	case !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		return problem(http.StatusBadRequest, "Bad request: . Required metadata header not specified")
	case repeated(query):
		return problem(http.StatusBadRequest, "Bad request. A query parameter is repeated")
	case key == "versions":
		return azureReply(http.StatusOK, map[string]any{"apiVersions": s.azure.versions})
	case !known || (key != "" && !below(key, "instance")):
		return problem(http.StatusNotFound, "Not found")
	case key == "" || !slices.Contains(s.azure.versions, query.Get("api-version")):
		return s.otherVersion()
	}
	doc := azureDocument(s.cloud.identity(node), s.cloud.InterfacesOf(node), s.cloud.cfg.subnet)
	doc, ok := shapeDocument(s.faults, doc, r.Method, key, via, req.Time)
	if ok {
		doc, ok = descend(doc, strings.TrimPrefix(key, "instance"))
	}
	if !ok {
		return problem(http.StatusNotFound, "Not found")
	}
	return azureAnswer(doc, query.Get("format"))
}

func repeated(query url.Values) bool {
	for _, values := range query {
		if len(values) > 1 {
			return true
		}
	}
	return false
}

// otherVersion refuses a version and names the three newest, the newest first.
func (s *IMDS) otherVersion() reply {
	newest := slices.Clone(s.azure.versions[max(0, len(s.azure.versions)-3):])
	slices.Reverse(newest)
	return azureReply(http.StatusBadRequest, map[string]any{
		"error":           "Bad request. api-version is invalid or was not specified in the request. For more information refer to aka.ms/azureimds",
		"newest-versions": newest,
	})
}

// azureAnswer shows a place of the document. A single text cannot be had as JSON.
func azureAnswer(v document, format string) reply {
	body, _ := listing(v)
	_, leaf := v.(string)
	switch {
	case format == "text":
		return reply{from: Azure, status: http.StatusOK, body: body, kind: "text/plain; charset=utf-8"}
	case format != "" && format != "json", leaf:
		return problem(http.StatusBadRequest, fmt.Sprintf("Bad request. Format %q is not available for this path", format))
	}
	return azureReply(http.StatusOK, v)
}

func problem(status int, text string) reply {
	return azureReply(status, map[string]any{"error": text})
}

func azureReply(status int, v any) reply {
	b, err := json.Marshal(v)
	if err != nil { // a fault's JSON that is none: sent as it is
		return reply{from: Azure, status: status, body: err.Error()}
	}
	return reply{from: Azure, status: status, body: string(b), kind: "application/json; charset=utf-8"}
}
