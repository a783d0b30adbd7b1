//go:build system

package system

// podman publishes a port, which is asked at every address. It has no daemon: netavark writes its rules and ends.
func podman() neighbour {
	return neighbour{
		name: "Podman", apart: true,
		files: map[string]string{
			"/etc/containers/storage.conf":    "[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers/storage\"\ngraphroot = \"/var/lib/containers/storage\"\n",
			"/etc/containers/containers.conf": "[engine]\nruntime = \"runc\"\ncgroup_manager = \"systemd\"\nevents_logger = \"file\"\n[containers]\ndefault_sysctls = []\npids_limit = 0\nlog_driver = \"k8s-file\"\n",
		},
		config: "replies = \"by-interface\"\n",
		world: func(b *bed) {
			b.sh(`mkdir -p /tmp/image/bin /tmp/image/www && cp /bin/busybox /tmp/image/bin/ && echo published >/tmp/image/www/index.html &&
				tar -C /tmp/image -c . | podman import - web && podman create --name web -p 8080:80 web /bin/busybox httpd -f -p 80 -h /www`)
		},
		start: "podman start web",
		stop:  "podman stop --time 1 web",
		acts:  []string{"podman restart --time 1 web"},
		works: "podman ps | grep -q 0.0.0.0:8080",
		check: func(b *bed) { b.published("8080") },
	}
}
