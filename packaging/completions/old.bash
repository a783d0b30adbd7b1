# bash completion for ec2ifup, ec2ifdown and ec2ifscan: each is a command of ec2net, and is completed
# like it.

_ec2net_old() {
	local command
	case ${COMP_WORDS[0]##*/} in
	ec2ifup) command=up ;;
	ec2ifdown) command=down ;;
	ec2ifscan) command=scan ;;
	*) return 1 ;;
	esac
	if ! declare -F __start_ec2net >/dev/null; then
		# shellcheck source=/dev/null
		. "${BASH_SOURCE[0]%/*}/ec2net" || return 1
	fi
	local rest=${COMP_LINE#*"${COMP_WORDS[0]}"}
	COMP_POINT=$((COMP_POINT + 7 + ${#command} - (${#COMP_LINE} - ${#rest})))
	COMP_LINE="ec2net $command$rest"
	COMP_WORDS=(ec2net "$command" "${COMP_WORDS[@]:1}")
	COMP_CWORD=$((COMP_CWORD + 1))
	__start_ec2net
}

complete -o default -F _ec2net_old ec2ifup ec2ifdown ec2ifscan
