package lab

import (
	"net/http"
	"time"
)

// service is a provider's metadata service: what makes it another one than the other providers'. The caller holds
// the server's lock.
type service interface {
	// key is what a path asks for, as the paths of faults are written: without the part that all paths begin with.
	key(path string) (key string, known bool)
	// answer is the right one, but for faults that change the metadata themselves. It is asked again for one that is
	// pending.
	answer(q *question) reply
	// page is what the service says with a status.
	page(status int) reply
	// suits refuses a fault that the service cannot have.
	suits(f Fault) error
	// aim makes a fault of one interface's metadata hit that interface.
	aim(f *Fault, k Interface)
}

// question is a request, and what the server knows of it.
type question struct {
	*http.Request
	asked *Request // as it is going to be remembered
	key   string
	known bool   // the path is the service's
	node  *Node  // who asks
	via   *iface // nil when the source is no interface's address

	refused bool             // it was one too many
	etag    string           // what the client knows; the answer is pending until there is something else
	limit   <-chan time.Time // for how long
	late    bool             // that is over
}
