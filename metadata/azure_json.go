package metadata

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// texts reads a list of objects; those that are empty are holes.
func texts(raw json.RawMessage, text func(json.RawMessage) (string, error)) (out []string, holes bool, err error) {
	list, err := elements(raw)
	for _, e := range list {
		s, bad := text(e)
		switch {
		case bad != nil:
			err = bad
		case s == "":
			holes = true
		default:
			out = append(out, s)
		}
	}
	return out, holes, err
}

// addrText is an address, or a block as "address/length". Of a block the length may be a value of its own:
// the network's API has privateIPAddressPrefixLength beside an address that may be a block itself
// (learn.microsoft.com, NetworkInterfaceIPConfigurationData), and what the metadata calls it is not documented.
func addrText(raw json.RawMessage) (string, error) {
	var e struct {
		Private string          `json:"privateIpAddress"`
		Length  json.RawMessage `json:"privateIpAddressPrefixLength"`
		Short   json.RawMessage `json:"prefixLength"`
	}
	if json.Unmarshal(raw, &e) != nil {
		return "", errNoObject
	}
	length := lengthText(e.Length)
	if length == "" {
		length = lengthText(e.Short)
	}
	if e.Private == "" || length == "" || strings.Contains(e.Private, "/") {
		return e.Private, nil
	}
	bits, err := strconv.ParseUint(length, 10, 8)
	if err != nil {
		return "", fmt.Errorf("prefix length %.20q %w", length, errLength)
	}
	return e.Private + "/" + strconv.FormatUint(bits, 10), nil
}

// lengthText is a length as a number or as text; empty where there is none.
func lengthText(raw json.RawMessage) string {
	if string(raw) == "null" {
		return ""
	}
	return strings.Trim(string(raw), `"`)
}

// subnetText puts the two parts of a subnet together. The length is a text in Azure's documents.
func subnetText(raw json.RawMessage) (string, error) {
	var e struct {
		Address string          `json:"address"`
		Prefix  json.RawMessage `json:"prefix"`
	}
	if json.Unmarshal(raw, &e) != nil {
		return "", errNoObject
	}
	if e.Address == "" {
		return "", nil
	}
	bits, err := strconv.ParseUint(lengthText(e.Prefix), 10, 8)
	if err != nil {
		return "", fmt.Errorf("prefix %.20q %w", e.Prefix, errLength)
	}
	return e.Address + "/" + strconv.FormatUint(bits, 10), nil
}

// elements are the members of a list, holes in it as null. The metadata's tree numbers them, and one
// that was made an object of has the numbers for keys.
func elements(raw json.RawMessage) (out []json.RawMessage, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	if raw[0] == '{' {
		var byNumber map[uint]json.RawMessage
		if json.Unmarshal(raw, &byNumber) != nil {
			return nil, errNoList
		}
		for _, k := range slices.Sorted(maps.Keys(byNumber)) {
			out = append(out, byNumber[k])
		}
	} else if json.Unmarshal(raw, &out) != nil {
		return nil, errNoList
	}
	return out, nil
}

// knownVersions reads which versions the page of a 400 names, the newest first.
func knownVersions(page string) []string {
	var doc struct {
		Newest []string `json:"newest-versions"`
	}
	if json.Unmarshal([]byte(page), &doc) != nil || len(doc.Newest) > maxValues {
		return nil
	}
	dated := regexp.MustCompile(`^20[0-9]{2}-[01][0-9]-[0-3][0-9]$`)
	out := slices.DeleteFunc(doc.Newest, func(v string) bool { return !dated.MatchString(v) })
	slices.Sort(out)
	slices.Reverse(out)
	return out
}
