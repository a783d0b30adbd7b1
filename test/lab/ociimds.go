package lab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// ociService is OCI's metadata service: one JSON document below /opc/v2/, for who shows a fixed header.
type ociService struct {
	layout
	server *IMDS
}

func newOCIService(s *IMDS) service {
	return &ociService{layout: layout{list: "vnics", mac: "macAddr", spell: ociMAC}, server: s}
}

// ociHeader is what a request to version 2 has to carry.
const ociHeader = "Bearer Oracle"

// key takes what lies below /opc/v2 and /opc/v1.
func (s *ociService) key(p string) (key string, known bool) {
	parts := strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
	if len(parts) < 2 || parts[0] != "opc" || !slices.Contains([]string{"v1", "v2"}, parts[1]) {
		return "", false
	}
	return strings.Join(parts[2:], "/"), true
}

func (s *ociService) answer(q *question) reply {
	second := strings.HasPrefix(strings.TrimLeft(q.URL.Path, "/"), "opc/v2")
	switch {
	case q.Method != http.MethodGet && q.Method != http.MethodHead:
		return s.page(http.StatusMethodNotAllowed)
	case forwarded(q.Header.Values), second && q.Header.Get("Authorization") != ociHeader:
		return s.page(http.StatusForbidden)
	case !q.known:
		return s.page(http.StatusNotFound)
	case q.key == "":
		return reply{server: ociServer, status: http.StatusOK, body: "instance/\nvnics/\n", kind: "text/plain"}
	}
	c := s.server.cloud
	doc := ociDocument(c.identity(q.node), c.published(q.node), c.cfg.subnet)
	shaped, ok := s.shape(s.server.faults, doc, q, true)
	if ok {
		shaped, ok = descend(shaped, q.key)
	}
	if !ok {
		return s.page(http.StatusNotFound)
	}
	return ociReply(shaped)
}

// ociServer is what the service calls itself.
const ociServer = "nginx/1.14.2"

// ociReply shows a place of the document: a single value as it is, anything else as JSON, in lines.
func ociReply(v document) reply {
	out := reply{server: ociServer, status: http.StatusOK, kind: "application/json"}
	if text, leaf := listing(v); leaf {
		out.body, out.kind = text, "text/plain"
		return out
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		b = []byte(err.Error()) // a fault's JSON that is none
	}
	out.body = string(b)
	return out
}

// page is what OCI's service says with a status. It says 404 also when it is only not ready.
func (s *ociService) page(status int) reply {
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	return reply{server: ociServer, status: status, kind: "text/html", body: "<html>\r\n<head><title>" + text + "</title></head>\r\n" +
		"<body>\r\n<center><h1>" + text + "</h1></center>\r\n<hr><center>" + ociServer + "</center>\r\n</body>\r\n</html>\r\n"}
}
