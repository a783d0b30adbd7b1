# ec2net: `make demo` shows what it does, `make test` runs every test. Both install what they need.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO      ?= go
BUILD    = CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
PREFIX  ?= /usr
SECONDS ?= 10
DAY     ?= 48m
SEQUENCES ?= 20000
HISTORIES ?= 1000
WALK    ?= 2h

.PHONY: build demo test test-go t packages deb test-packages test-system test-neighbours test-releases test-next test-vm bench bench-system lint fuzz test-fuzz soak install setup setup-demo clean

build:
	$(BUILD) -o bin/ec2net ./cmd/ec2net
	$(BUILD) -o bin/ec2net-lab ./cmd/ec2net-lab

# The demo needs ip(8) for its tables, and nothing else.
setup-demo:
	@test/setup demo

setup:
	@test/setup test

demo: setup-demo build
	bin/ec2net-lab demo

# All of them: in namespaces, booted containers, booted virtual machines, the packages. No part needs another, and most
# of them wait more than they compute, so that there are as many at a time as there are processors, the longest first.
# A bare machine gets what it lacks before, and not twice.
JOBS ?= $(shell nproc)

test: setup build deb
	@$(MAKE) --no-print-directory -j$(JOBS) -o setup -o build -o deb test-vm test-go test-system test-packages test-fuzz

# The sweeps are thousands of small runs one after the other, in which nothing happens at once: the race detector
# would find nothing there, and take three times as long.
SWEEPS = ^(TestEveryFault|TestSequences)$$

test-go: setup build
	$(GO) test -count=1 -timeout 40m -run '$(SWEEPS)' ./plumb & sweeps=$$!; \
	$(GO) test -race -count=1 -timeout 40m -skip '$(SWEEPS)' ./...; status=$$?; wait $$sweeps && exit $$status

# One test by its name, wherever it is: make t T=TestUpPlanDown
t: setup
	@GO=$(GO) test/one $(T)

# deb and rpm for amd64 and arm64, in dist/.
packages:
	rm -rf dist
	VERSION=$(VERSION) $(GO) run ./packaging/build -out dist -arch amd64,arm64

# This machine's deb, which is what the tests boot.
deb:
	rm -rf dist
	VERSION=$(VERSION) $(GO) run ./packaging/build -out dist -arch $$($(GO) env GOARCH) -kind deb

# The packages, installed, upgraded, removed and purged in a clean Debian.
test-packages: setup
	$(GO) test -count=1 -timeout 40m -tags packages ./packaging

# The deb on booted Debians with their udev, systemd and network managers.
test-system: setup deb
	$(GO) test -count=1 -timeout 40m -tags system ./test/system

# All neighbours on all releases, and the longest gap of each address beside them, which test-system has for one release;
# cloud-init on all, too.
test-neighbours: setup deb
	EC2NET_NEIGHBOURS=all $(GO) test -v -count=1 -timeout 60m -tags system -run '^Test(Neighbours|CloudInit)$$' ./test/system

# The deb on every Debian from 11 on and on the next one, booted in containers and in virtual machines. The results go into
# docs/releases.md; one release, or one test, does not touch the others' there: make test-releases RELEASES=forky
RELEASES = bullseye bookworm trixie forky
# These need other programs' packages, which test-neighbours has on Debian 12 and 13.
CROWDED  = ^(TestNeighbours|TestWalk|TestAuthorOfARule)$$
ONLY     =

test-releases: setup deb
	{ EC2NET_SUITES="$(RELEASES)" $(GO) test -json -count=1 -timeout 150m -tags system -skip '$(CROWDED)' -run '$(ONLY)' ./test/system; \
	EC2NET_SUITES="$(RELEASES)" GO=$(GO) LIMIT=150m test/vm/run -json -run '$(ONLY)'; } | $(GO) run ./test/releases

# What comes after Debian's next, with experimental's kernel, and what is otherwise there than in docs/releases.md.
NEXT = ^(TestVersions|TestBootOneInterface|TestPlug|TestBesideManager|TestThreeAtOnceThenBootWithFour|TestReplugAtOnce|TestUnplugAfterKill|TestEscapedName|TestPackageOnRunningMachine|TestHostThatNobodyConfigures|TestNetworkManagerFindsOurs|TestExposure|TestRenewalInSandbox)$$

test-next: setup deb
	rm -rf .cache/root-sid-* .cache/vm-sid-*
	{ EC2NET_SUITES=sid $(GO) test -json -count=1 -timeout 60m -tags system -run '$(NEXT)' ./test/system; \
	EC2NET_SUITES=sid GO=$(GO) LIMIT=60m test/vm/run -json; } | $(GO) run ./test/releases -news

# The deb on virtual machines, with interfaces that are plugged into the PCI bus. Never /dev/kvm.
test-vm: setup deb
	GO=$(GO) test/vm/run

bench: setup build
	$(GO) run ./test/bench

# A plugged interface and a boot on booted Debians, beside systemd-networkd alone and amazon-ec2-net-utils.
bench-system: setup deb
	$(GO) test -count=1 -timeout 40m -tags system,bench -run '^TestBench$$' -v ./test/system

# The tests that have a tag are looked at together with the others.
TAGS = packages,system,bench,vm

lint:
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 -tags $(TAGS) ./...

# Each fuzz target for $(SECONDS) seconds.
fuzz:
	GO=$(GO) test/fuzz $(SECONDS)s

# By number, not by time: where the time ends while a worker is busy, Go before 1.27 calls that a failure (go.dev/issue/75804).
test-fuzz:
	GO=$(GO) test/fuzz 3000x

# A day of readings, 30 s apart, made a second apart: 48 minutes of random faults on 8 interfaces. Then long
# histories, on the kernel and with the whole program, and a long walk over the neighbours on a booted machine.
soak: setup build deb
	EC2NET_DAY=$(DAY) $(GO) test -v -count=1 -timeout 24h -run '^TestDay$$' ./cmd/ec2net
	EC2NET_SEED=$$(date +%s)000000 EC2NET_SEQUENCES=$(SEQUENCES) $(GO) test -v -count=1 -timeout 24h -run '^TestSequences$$' ./plumb
	EC2NET_HISTORIES=$(HISTORIES) $(GO) test -v -count=1 -timeout 24h -run '^TestHistories$$' ./cmd/ec2net
	EC2NET_WALK=$(WALK) $(GO) test -v -count=1 -timeout 24h -parallel 4 -tags system -run '^Test(NetworkManager)?Walk$$' ./test/system

install: build
	install -Dm755 bin/ec2net $(DESTDIR)$(PREFIX)/sbin/ec2net
	for n in ec2ifup ec2ifdown ec2ifscan; do ln -sf ec2net $(DESTDIR)$(PREFIX)/sbin/$$n; done
	install -Dm644 systemd/ec2net-ifup@.service $(DESTDIR)$(PREFIX)/lib/systemd/system/ec2net-ifup@.service
	install -Dm644 systemd/ec2net-scan.service $(DESTDIR)$(PREFIX)/lib/systemd/system/ec2net-scan.service
	install -Dm644 systemd/ec2net-scan@.service $(DESTDIR)$(PREFIX)/lib/systemd/system/ec2net-scan@.service
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system/multi-user.target.wants
	ln -sf ../ec2net-scan.service $(DESTDIR)$(PREFIX)/lib/systemd/system/multi-user.target.wants/ec2net-scan.service
	install -Dm644 systemd/networkd-ec2net.conf $(DESTDIR)$(PREFIX)/lib/systemd/networkd.conf.d/ec2net.conf
	install -Dm644 udev/99-ec2net.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d/99-ec2net.rules
	install -Dm644 packaging/rt_protos.conf $(DESTDIR)/etc/iproute2/rt_protos.d/ec2net.conf
	install -Dm644 packaging/ec2net.toml $(DESTDIR)$(PREFIX)/share/doc/ec2net/examples/ec2net.toml
	for m in packaging/man/*.[58]; do install -Dm644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/}; done

clean:
	rm -rf bin dist .cache
