package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"ec2net/test/lab"
)

type squatArgs struct {
	Interface string
	Addr      netip.Addr
}

func squat(_ context.Context, s *server, a squatArgs) (any, error) {
	q, err := s.cloud.Squat(a.Interface, a.Addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.squatters[s.last] = &squatter{q, a.Interface, a.Addr.String()}
	return s.last, nil
}

// reach switches the metadata server: on, refused or silent.
func reach(_ context.Context, s *server, how string) (any, error) {
	switch how {
	case "on":
		return nil, s.cloud.IMDS().Resume()
	case "refused":
		return nil, s.cloud.IMDS().Refuse()
	case "silent":
		return nil, s.cloud.IMDS().Silence()
	}
	return nil, fmt.Errorf("the metadata server can be on, refused or silent, not %q", how)
}

// faultList is every fault at work.
type faultList struct {
	IMDS      map[int]lab.Fault     `json:"imds"`
	DHCP      map[int]lab.DHCPFault `json:"dhcp"`
	Squatters map[int]*squatter     `json:"squat"`
}

func (s *server) faults() faultList {
	s.mu.Lock()
	defer s.mu.Unlock()
	squatters := map[int]*squatter{}
	for id, q := range s.squatters {
		squatters[id] = &squatter{Interface: q.Interface, Addr: q.Addr}
	}
	return faultList{s.cloud.IMDS().Faults(), s.cloud.DHCP().Faults(), squatters}
}

// clearFaults ends faults named as "imds:1", or all.
func clearFaults(_ context.Context, s *server, names []string) (any, error) {
	if len(names) == 0 {
		s.cloud.IMDS().Clear()
		s.cloud.DHCP().Clear()
		return nil, errors.Join(s.cloud.IMDS().Resume(), s.clearSquatters(0))
	}
	for _, name := range names {
		kind, number, _ := strings.Cut(name, ":")
		id, err := strconv.Atoi(number)
		if err != nil || id < 1 {
			return nil, fmt.Errorf("fault %q: name it as \"ec2net-lab fault list\" does, such as imds:1", name)
		}
		switch kind {
		case "imds":
			s.cloud.IMDS().Clear(id)
		case "dhcp":
			s.cloud.DHCP().Clear(id)
		case "squat":
			err = s.clearSquatters(id)
		default:
			err = fmt.Errorf("fault %q: there are imds, dhcp and squat", name)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// clearSquatters sends one stranger away, or all of them for 0.
func (s *server) clearSquatters(id int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for i, q := range s.squatters {
		if id == 0 || id == i {
			errs = append(errs, q.Close())
			delete(s.squatters, i)
		}
	}
	return errors.Join(errs...)
}
