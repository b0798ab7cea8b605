// SPDX-License-Identifier: MIT
// The bridge to GoogleTest, and the only C++: every C case becomes a GoogleTest test, a conformance case one for each host
// (suite "iommufd/ioas"), so that GoogleTest's filters, shuffling, repetition and XML work on them.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "run.h"

namespace
{

struct Options {
	std::vector<const t_host *> hosts;
	std::string expected_skips;
};

void fail_here(const char *file, int line, const char *text)
{
	ADD_FAILURE_AT(file, line) << text;
}

class Case : public testing::Test
{
      public:
	Case(const t_case *test, const t_host *host) : test_(test), host_(host)
	{
	}

	void TestBody() override
	{
		t_result result;

		t_run_case(test_, host_, fail_here, &result);
		t_ledger_add(test_, host_, &result);
		if (result.skipped)
			GTEST_SKIP() << "needs " << result.missing << (result.reason[0] != '\0' ? ": " : "")
				     << result.reason;
	}

      private:
	const t_case *test_;
	const t_host *host_;
};

// The ledger is closed while GoogleTest still listens, so that a wrong set of skips is a failure in its XML as well.
class Ledger : public testing::Environment
{
      public:
	explicit Ledger(std::string expected_skips) : expected_skips_(std::move(expected_skips))
	{
	}

	void SetUp() override
	{
		t_ledger_clear();
	}

	void TearDown() override
	{
		t_ledger_print(stdout);
		if (!expected_skips_.empty() && is_full_run())
			t_ledger_compare(expected_skips_.c_str(),
					 [](const char *text) { ADD_FAILURE() << text; });
		t_ledger_clear();
	}

      private:
	// Of a part of the cases, nothing can be said about skips that did not happen.
	static bool is_full_run()
	{
		const testing::UnitTest &all = *testing::UnitTest::GetInstance();

		return all.test_to_run_count() == all.total_test_count();
	}

	std::string expected_skips_;
};

void register_test(const t_case *test, const t_host *host)
{
	const std::string suite = host ? std::string(host->name) + "/" + test->suite : test->suite;

	testing::RegisterTest(suite.c_str(), test->name, nullptr, nullptr, test->file, test->line,
			      [=]() -> Case * { return new Case(test, host); });
}

void register_tests(const Options &options)
{
	for (const t_case *test = t_first_case(); test; test = test->next)
		if (!test->on_hosts)
			register_test(test, nullptr);
	for (const t_host *host : options.hosts)
		for (const t_case *test = t_first_case(); test; test = test->next)
			if (test->on_hosts)
				register_test(test, host);
}

[[noreturn]] void refuse(const std::string &message)
{
	std::fprintf(stderr, "%s\n", message.c_str());
	std::exit(2);
}

std::string host_names()
{
	std::string names;

	for (unsigned int i = 0; t_host_at(i); i++)
		names += std::string(i ? ", " : "") + t_host_at(i)->name;
	return names.empty() ? "none" : names;
}

void add_hosts(const char *list, Options *options)
{
	char name[64];

	while (t_next_word(&list, name, sizeof(name))) {
		const t_host *host = t_find_host(name);

		if (!host)
			refuse("no host " + std::string(name) + " here; there are: " + host_names());
		options->hosts.push_back(host);
	}
}

void set_timeout(const char *text)
{
	char *end = nullptr;
	const long seconds = std::strtol(text, &end, 10);

	if (end == text || *end != '\0' || seconds <= 0 || seconds > 86400)
		refuse("not a number of seconds: --timeout=" + std::string(text));
	t_set_default_timeout(static_cast<unsigned int>(seconds));
}

const char *value_of(const char *argument, const char *option)
{
	const size_t len = std::strlen(option);

	return std::strncmp(argument, option, len) == 0 ? argument + len : nullptr;
}

// What is left on the command line after GoogleTest took its flags.
Options parse(int argc, char **argv)
{
	Options options;

	for (int i = 1; i < argc; i++) {
		const char *value = nullptr;

		if ((value = value_of(argv[i], "--host=")))
			add_hosts(value, &options);
		else if ((value = value_of(argv[i], "--expected-skips=")))
			options.expected_skips = value;
		else if ((value = value_of(argv[i], "--record="))) {
			if (!t_record_open(value))
				refuse("cannot write " + std::string(value));
		} else if ((value = value_of(argv[i], "--timeout=")))
			set_timeout(value);
		else
			refuse("unknown option " + std::string(argv[i]) +
			       "; GoogleTest's own (--help), --host=NAME,..., --expected-skips=FILE, "
			       "--timeout=SECONDS, --record=FILE; "
			       "hosts: " +
			       host_names());
	}
	if (options.hosts.empty())
		for (unsigned int i = 0; t_host_at(i); i++)
			options.hosts.push_back(t_host_at(i));
	return options;
}

} // namespace

int main(int argc, char **argv)
{
	testing::InitGoogleTest(&argc, argv);

	const Options options = parse(argc, argv);

	register_tests(options);
	testing::AddGlobalTestEnvironment(new Ledger(options.expected_skips));

	const int status = RUN_ALL_TESTS();

	t_record_close();

	if (!testing::GTEST_FLAG(list_tests) && testing::UnitTest::GetInstance()->test_to_run_count() == 0)
		refuse("no test was run: none is of that name, or this program has none");
	return status;
}
