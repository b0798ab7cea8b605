# Checks in a shell script, told to whoever reads the output and as JUnit XML: source this file.
#
#   junit_begin SUITE FILE
#   check "a sentence that is true when it passes" COMMAND ARGUMENT...     (its output is shown when it fails)
#   junit_end                                                              (status: whether all passed)

junit_begin() {
	junit_suite=$1
	junit_file=$2
	junit_cases=''
	junit_total=0
	junit_failed=0
	junit_output=$(mktemp)
}

junit_escape() {
	sed -e 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/"/\&quot;/g' | tr -cd '\11\12\15\40-\176'
}

check() { # SENTENCE COMMAND...
	local name=$1 started=$EPOCHREALTIME status took
	shift
	"$@" >"$junit_output" 2>&1
	status=$?
	took=$(awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }')
	junit_total=$((junit_total + 1))
	name=$(junit_escape <<<"$name")
	junit_cases+="<testcase classname=\"$junit_suite\" name=\"$name\" time=\"$took\">"
	if ((status == 0)); then
		echo "ok      $name ($took s)"
	else
		echo "FAILED  $name (status $status, $took s)"
		sed 's/^/        /' "$junit_output"
		junit_failed=$((junit_failed + 1))
		junit_cases+="<failure message=\"status $status\">$(tail -c 4000 "$junit_output" | junit_escape)</failure>"
	fi
	junit_cases+="</testcase>"$'\n'
	return "$status"
}

junit_end() {
	rm -f "$junit_output"
	printf '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites><testsuite name="%s" tests="%d" failures="%d">\n%s</testsuite></testsuites>\n' \
		"$junit_suite" "$junit_total" "$junit_failed" "$junit_cases" >"$junit_file"
	((junit_failed == 0))
}
