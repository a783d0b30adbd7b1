package state

import (
	"context"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"ec2net/metadata"
	"ec2net/plumb"
)

const hang = time.Minute

// Records are read back by name, and one list of them tells the primary and who else is a cloud interface.
func TestRecords(t *testing.T) {
	s := open(t)
	if len(s.All()) > 0 || s.Full() || !s.Readable() {
		t.Error("a folder that is not there is empty, has room, and keeps nobody out")
	}
	if _, ok := s.All().Primary(); ok {
		t.Error("no interface is the primary one")
	}
	for name, n := range map[string]byte{"eth1": 1, "eth0": 2} {
		must(t, s.Save(Record{Name: name, MAC: mac(n), Interface: metadata.Interface{Primary: name == "eth0"}, Peers: []metadata.MAC{mac(1), mac(3)}}))
	}
	must(t, os.WriteFile(s.path("eth2", ".json"), []byte(`{"name":"eth3"}`), 0o600))
	list := s.All()
	if len(list) != 2 || list[0].Name != "eth0" || list[1].MAC != mac(1) {
		t.Errorf("recorded: %+v", list)
	}
	if r, ok := list.Primary(); !ok || r.Name != "eth0" {
		t.Errorf("the primary interface is %+v", r)
	}
	if got := list.Peers(mac(1)); !slices.Equal(got, []metadata.MAC{mac(3), mac(3)}) {
		t.Errorf("peers: %v", got)
	}
	for range 2 { // what is not there is removed
		must(t, s.Remove("eth1"))
	}
	if _, ok := s.Load("eth1"); ok {
		t.Error("it is there after it was removed")
	}
}

// Orphans are what is left of interfaces that are gone and that no process manages; they are adopted once.
func TestOrphans(t *testing.T) {
	s := open(t)
	gone := Record{Name: "eth1", Index: 99, MAC: mac(1)}
	must(t, s.Save(gone))
	if !s.Orphaned(gone) {
		t.Error("gone, and not managed: it is an orphan")
	}
	l, err := s.Acquire("eth1")
	must(t, err)
	if adopted, err := s.Adopt(gone); s.Orphaned(gone) || adopted != nil || err != nil {
		t.Errorf("one that is managed was adopted: %v, %v", adopted, err)
	}
	l.Release()
	again := gone
	again.Index++
	if adopted, err := s.Adopt(again); adopted != nil || err != nil {
		t.Errorf("one that is recorded anew was adopted: %v, %v", adopted, err)
	}
	adopted, err := s.Adopt(gone)
	if adopted == nil || err != nil {
		t.Fatalf("not adopted: %v", err)
	}
	taken := make(chan error, 1)
	go func() { // a process that is just starting waits
		l, err := s.Acquire("eth1")
		l.Release()
		taken <- err
	}()
	select {
	case err := <-taken:
		t.Errorf("acquired meanwhile: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	adopted.Release()
	must(t, <-taken)
	if files, _ := os.ReadDir(s.dir); len(files) != 1 {
		t.Errorf("left are %v", files)
	}
}

// Each change in the folder is reported, also the end of who managed an interface.
func TestWatch(t *testing.T) {
	s := open(t)
	if _, err := s.Watch(t.Context()); err == nil {
		t.Error("a folder that is not there is watched")
	}
	must(t, s.Save(Record{Name: "eth1"}))
	l, err := s.Acquire("eth1")
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	news, err := s.Watch(ctx)
	must(t, err)
	for _, event := range []struct { // each of the first two is one, so that none is taken for the next
		what string
		make func()
	}{
		{"a lock freed", func() { l.f.Close() }},
		{"a record's removal", func() { must(t, s.Remove("eth1")) }},
		{"a record", func() { must(t, s.Save(Record{Name: "eth1"})) }},
	} {
		event.make()
		select {
		case <-news:
		case <-time.After(hang):
			t.Errorf("not reported: %s", event.what)
		}
	}
}

// What the kernel is read for comes of the record.
func TestScope(t *testing.T) {
	forwards := true
	for name, tt := range map[string]struct {
		r    Record
		want plumb.Scope
	}{
		"nothing":                  {Record{}, plumb.Scope{}},
		"found":                    {Record{Baseline: &plumb.Baseline{}}, plumb.Scope{}},
		"forwarding was changed":   {Record{Baseline: &plumb.Baseline{Forwarding: &forwards}}, plumb.Scope{Forwarding: true}},
		"numbers, table and peers": {Record{Numbers: []int{1, 9003}, Packets: true, Peers: []metadata.MAC{{2}}}, plumb.Scope{Numbers: []int{1, 9003}, Packets: true, Peers: []metadata.MAC{{2}}}},
	} {
		if got := tt.r.Scope(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
