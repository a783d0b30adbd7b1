package lab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// azureVersions are the versions of Azure's metadata service, oldest first.
var azureVersions = []string{
	"2017-03-01", "2017-04-02", "2017-08-01", "2017-10-01", "2017-12-01", "2018-02-01", "2018-04-02", "2018-10-01",
	"2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2019-11-01",
	"2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01", "2021-01-01", "2021-02-01", "2021-03-01",
	"2021-05-01", "2021-10-01", "2021-11-01", "2021-11-15", "2021-12-13", "2023-07-01", "2023-11-15", "2024-03-15",
	"2024-07-17", "2025-04-07",
}

// azureServer is what the service calls itself.
const azureServer = "IMDS"

// azureLimit is how many requests a second Azure's service answers to one machine.
const azureLimit = 5

// azureService is Azure's metadata service: one document, in several versions.
type azureService struct {
	layout
	server   *IMDS
	versions []string // oldest first
}

func newAzureService(s *IMDS) service {
	return &azureService{
		layout: layout{list: "instance/network/interface", mac: "macAddress", spell: azureMAC},
		server: s, versions: azureVersions,
	}
}

// Versions makes Azure's service know only some versions of its interface, oldest first: an old host, or one
// that has forgotten the old ones.
func (s *IMDS) Versions(known ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if azure, ok := s.service.(*azureService); ok {
		azure.versions = slices.Clone(known)
	}
}

// key takes what lies below /metadata.
func (s *azureService) key(p string) (key string, known bool) {
	parts := strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
	if len(parts) == 0 || parts[0] != "metadata" {
		return "", false
	}
	return strings.Join(parts[1:], "/"), true
}

func (s *azureService) answer(q *question) reply {
	query, key := q.URL.Query(), q.key
	switch {
	case q.Method != http.MethodGet:
		return problem(http.StatusMethodNotAllowed, "Method not allowed")
	case len(q.Header.Values("X-Forwarded-For")) > 0:
		return problem(http.StatusBadRequest, "Bad request. X-Forwarded-For header is not allowed")
	case !strings.EqualFold(q.Header.Get("Metadata"), "true"):
		return problem(http.StatusBadRequest, "Bad request: . Required metadata header not specified")
	case repeated(query):
		return problem(http.StatusBadRequest, "Bad request. A query parameter is repeated")
	case key == "versions":
		return azureReply(http.StatusOK, map[string]any{"apiVersions": s.versions})
	case !q.known || (key != "" && !below(key, "instance")):
		return problem(http.StatusNotFound, "Not found")
	case key == "" || !slices.Contains(s.versions, query.Get("api-version")):
		return s.otherVersion()
	}
	c := s.server.cloud
	doc := object{"instance": azureDocument(c.identity(q.node), c.published(q.node), c.cfg.subnet)}
	shaped, ok := s.shape(s.server.faults, doc, q, true)
	if ok {
		shaped, ok = descend(shaped, key)
	}
	if !ok {
		return problem(http.StatusNotFound, "Not found")
	}
	return azureAnswer(shaped, query.Get("format"))
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
func (s *azureService) otherVersion() reply {
	newest := slices.Clone(s.versions[max(0, len(s.versions)-3):])
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
		return reply{server: azureServer, status: http.StatusOK, body: body, kind: "text/plain; charset=utf-8"}
	case format != "" && format != "json", leaf:
		return problem(http.StatusBadRequest, fmt.Sprintf("Bad request. Format %q is not available for this path", format))
	}
	return azureReply(http.StatusOK, v)
}

// page is what Azure's service says with a status.
func (s *azureService) page(status int) reply { return problem(status, http.StatusText(status)) }

func problem(status int, text string) reply {
	return azureReply(status, map[string]any{"error": text})
}

func azureReply(status int, v any) reply {
	b, err := json.Marshal(v)
	if err != nil { // a fault's JSON that is none: sent as it is
		return reply{server: azureServer, status: status, body: err.Error()}
	}
	return reply{server: azureServer, status: status, body: string(b), kind: "application/json; charset=utf-8"}
}
