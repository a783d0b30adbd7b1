package doctor

import (
	"strings"
	"testing"
	"testing/fstest"
)

// What switches cloud-init's hook on besides its configuration has to go as well.
func TestHotplugEnabled(t *testing.T) {
	t.Parallel()
	root := fstest.MapFS{"etc/udev/rules.d/90-cloud-init-hook-hotplug.rules": &fstest.MapFile{}}
	const then = "cloud-init single --name install_hotplug --frequency always"
	if cure := FindPrograms(root)[0].Cure; !strings.HasSuffix(cure, "then: "+then) {
		t.Errorf("the cure is %q", cure)
	}
	root[hotplugEnabled] = &fstest.MapFile{Data: []byte(`{"scopes": ["network"]}`)}
	if cure := FindPrograms(root)[0].Cure; !strings.HasSuffix(cure, "then: rm /var/lib/cloud/hotplug.enabled; "+then) {
		t.Errorf("the cure is %q", cure)
	}
}
