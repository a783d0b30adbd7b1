package lab

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ec2net/metadata"
)

// gceService is Google's metadata service: one document, whose parts have an ETag, and which a client can ask for when
// it is another one than the client knows.
type gceService struct {
	layout
	server *IMDS
}

func newGCEService(s *IMDS) service {
	return &gceService{layout: layout{list: "instance/network-interfaces", mac: "mac", spell: metadata.MAC.String}, server: s}
}

// What the service calls itself, and the header that requests and answers carry, each.
const (
	gceServer = "Metadata Server for VM"
	gceFlavor = "Metadata-Flavor"
	google    = "Google"
)

// key takes what lies below /computeMetadata/v1.
func (s *gceService) key(p string) (key string, known bool) {
	parts := strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
	if len(parts) < 2 || parts[0] != "computeMetadata" || parts[1] != "v1" {
		return "", false
	}
	return strings.Join(parts[2:], "/"), true
}

func (s *gceService) answer(q *question) reply {
	query := q.URL.Query()
	seconds, err := strconv.Atoi("0" + query.Get("timeout_sec"))
	switch {
	case q.Header.Get(gceFlavor) != google, len(q.Header.Values("X-Forwarded-For")) > 0:
		return s.page(http.StatusForbidden)
	case q.Method != http.MethodGet && q.Method != http.MethodHead:
		return s.page(http.StatusMethodNotAllowed)
	case err != nil:
		return s.page(http.StatusBadRequest)
	}
	found, ok := s.find(q, false)
	if waits := query.Get("wait_for_change") == "true" && q.known; waits && !q.late {
		if q.limit == nil && seconds > 0 {
			q.limit = time.After(time.Duration(seconds) * time.Second)
		}
		setIf(&q.etag, query.Get("last_etag"), q.etag == "")
		setIf(&q.etag, etag(found), q.etag == "")
		if ok && q.etag == etag(found) {
			return reply{pending: true}
		}
	}
	if found, ok = s.find(q, true); !ok {
		return s.page(http.StatusNotFound)
	}
	return gceReply(found, query.Get("recursive") == "true", query.Get("alt"))
}

// find is the part of the document that is asked for.
func (s *gceService) find(q *question, count bool) (document, bool) {
	c := s.server.cloud
	doc := gceDocument(c.identity(q.node), c.published(q.node), c.cfg.subnet)
	found, ok := s.shape(s.server.faults, doc, q, count)
	if !ok || !q.known {
		return nil, false
	}
	return descend(found, q.key)
}

// gceReply shows a part of the document: a directory's names, all of it as JSON, or a single value.
func gceReply(v document, recursive bool, alt string) reply {
	out := reply{server: gceServer, status: http.StatusOK, kind: "application/text", header: [][2]string{{gceFlavor, google}, {"ETag", etag(v)}}}
	text, leaf := listing(v)
	if alt == "json" || (recursive && !leaf) {
		out.body, out.kind = gceJSON(v), "application/json"
		return out
	}
	if out.body = text; !leaf && text != "" {
		out.body += "\n"
	}
	return out
}

// page is what Google's service says with a status.
func (s *gceService) page(status int) reply {
	return reply{
		server: gceServer, status: status, kind: "text/html; charset=UTF-8", header: [][2]string{{gceFlavor, google}},
		body: fmt.Sprintf("<!DOCTYPE html>\n<html lang=en>\n<title>Error %d (%s)!!1</title>\n", status, http.StatusText(status)),
	}
}

// etag names what is in a part of the document: the same for the same.
func etag(v document) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(gceJSON(v))) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

func gceJSON(v document) string {
	b, err := json.Marshal(camel(v))
	if err != nil { // a fault's JSON that is none: sent as it is
		return err.Error()
	}
	return string(b)
}

// camel spells the keys of a document as JSON has them: ip-aliases is ipAliases.
func camel(v document) document {
	switch in := v.(type) {
	case object:
		out := object{}
		for key, e := range in {
			words := strings.Split(key, "-")
			for i, w := range words[1:] {
				words[i+1] = strings.ToUpper(w[:1]) + w[1:]
			}
			out[strings.Join(words, "")] = camel(e)
		}
		return out
	case []any:
		out := []any{}
		for _, e := range in {
			out = append(out, camel(e))
		}
		return out
	}
	return v
}
