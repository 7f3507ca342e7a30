#include "daemon/config.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "server_fixture.hpp"

namespace vnvme::daemon {
namespace {

std::string problem_of(const std::string& text) {
  auto config = parse_config(text, "vnvmed.json");
  return config ? "" : config.error().text;
}

TEST(Config, NothingIsAWorkingConfiguration) {
  for (const char* text : {"", " \n\t", "{}"}) {
    auto config = parse_config(text, "f");
    ASSERT_TRUE(config.has_value()) << config.error().text;
    EXPECT_EQ(config->smapi_socket, "/run/vnvme/smapi.sock");
    EXPECT_EQ(config->admin_socket, "/run/vnvme/admin.sock");
    EXPECT_EQ(config->state_path, "/var/lib/vnvme/state.db");
    EXPECT_EQ(config->marker_path, "/run/vnvme/marker");
    EXPECT_EQ(config->reservations_path, "/run/vnvme/reservations");
    EXPECT_EQ(config->log_level, log::Level::info);
    EXPECT_TRUE(config->dpus.empty());
  }
}

TEST(Config, EverythingCanBeSaid) {
  auto config = parse_config(R"({
    "run_dir": "/r", "state_path": "/s/db", "state_copy_path": "", "admin_socket": "/a",
    "log": {"level": "debug", "path": "/l"}, "toolstack": "none",
    "host": {"kind": "fake", "root": "/h"}, "domains": {"kind": "scripted", "root": "/d"},
    "dpus": [{"name": "dpu0", "uri": "unix:/var/tmp/spdk.sock", "clear_method": "unmap"},
             {"name": "dpu1", "uri": "tcp:192.168.100.2:5260", "listener": "tcp:[::1]:4420"}]})",
                             "f");
  ASSERT_TRUE(config.has_value()) << config.error().text;
  EXPECT_EQ(config->smapi_socket, "/r/smapi.sock");
  EXPECT_EQ(config->admin_socket, "/a");
  EXPECT_EQ(config->state_copy_path, "");
  EXPECT_EQ(config->marker_path, "/r/marker");
  EXPECT_EQ(config->reservations_path, "/r/reservations");
  EXPECT_EQ(config->log_level, log::Level::debug);
  EXPECT_EQ(config->log_path, "/l");
  EXPECT_EQ(config->host, HostKind::fake);
  EXPECT_EQ(config->domains_root, "/d");
  ASSERT_EQ(config->dpus.size(), 2u);
  EXPECT_EQ(config->dpus[0].clear_method, "unmap");
  EXPECT_EQ(config->dpus[1].listener, "tcp:[::1]:4420");
}

// Each wrong text, and the words that its error must have: the key and what is accepted.
TEST(Config, EachWrongInputNamesFileKeyAndWhatIsAccepted) {
  struct Case {
    const char* text;
    std::vector<const char*> words;
  };
  const std::vector<Case> cases = {
      {"{", {"not JSON"}},
      {"{} x", {"not JSON"}},
      {"{\"run_dir\": \"/r\",}", {"not JSON", "comma"}},
      {"[]", {"one JSON object"}},
      {"7", {"one JSON object"}},
      {R"({"stat_path": "/x"})", {"stat_path", "not a known key", "state_path"}},
      {R"({"state_path": 7})", {"state_path is 7", "text in quotes"}},
      {R"({"state_path": null})", {"state_path is null"}},
      {R"({"state_path": "relative"})", {"state_path", "begins with /"}},
      {R"({"state_path": ""})", {"state_path", "begins with /"}},
      {"{\"state_path\": \"/a\\u0000b\"}", {"state_path", "text in quotes"}},
      {R"({"state_path": "/x", "state_copy_path": "/x"})", {"state_copy_path", "another path"}},
      {R"({"run_dir": []})", {"run_dir"}},
      {R"({"smapi_socket": "x"})", {"smapi_socket", "begins with /"}},
      {R"({"smapi_socket": "/s", "admin_socket": "/s"})", {"admin_socket", "its own path"}},
      {R"({"marker_path": "m"})", {"marker_path"}},
      {R"({"reservations_path": ""})", {"reservations_path", "begins with /"}},
      {R"({"log": "debug"})", {"log is", "object"}},
      {R"({"log": {"level": "loud"}})", {"log.level is \"loud\"", "debug, info, warning, error, off"}},
      {R"({"log": {"levle": "info"}})", {"log.levle", "level, path"}},
      {R"({"log": {"path": "vnvmed.log"}})", {"log.path", "stderr"}},
      {R"({"host": {"kind": "real"}})", {"host.kind", "sysfs, fake"}},
      {R"({"host": {"root": 1}})", {"host.root"}},
      {R"({"domains": {"kind": "libvirt"}})", {"domains.kind", "xenstore, scripted"}},
      {R"({"domains": []})", {"domains is []"}},
      {R"({"toolstack": "xl2"})", {"toolstack", "xapi"}},
      {R"({"dpus": {}})", {"dpus is {}", "list"}},
      {R"({"dpus": ["x"]})", {"dpus[0]", "object"}},
      {R"({"dpus": [{}]})", {"dpus[0].name", "dpus[0].uri"}},
      {R"({"dpus": [{"name": "a b", "uri": "unix:/x"}]})", {"dpus[0].name", "letters"}},
      {R"({"dpus": [{"name": "a", "url": "unix:/x"}]})", {"dpus[0].url", "name, uri, listener"}},
      {R"({"dpus": [{"name": "a", "uri": "unix:/x"}, {"name": "a", "uri": "unix:/y"}]})",
       {"dpus[1].name", "another"}},
      {R"({"dpus": [{"name": "a", "uri": "unix:/x"}, {"name": "b", "uri": "unix:/x"}]})",
       {"dpus[1].uri", "named once"}},
      {R"({"dpus": [{"name": "a", "uri": "unix:/x", "listener": "4420"}]})",
       {"dpus[0].listener", "tcp:ADDRESS:PORT"}},
      {R"({"dpus": [{"name": "a", "uri": "unix:/x", "clear_method": "zap"}]})",
       {"clear_method", "write_zeroes"}},
      {R"({"dpus": [{"name": "a", "uri": "kalray:10.0.0.1"}]})", {"dpus[0].uri", "kalray:ADDRESS:PORT"}},
      {R"({"dpus": [{"name": "a", "uri": "kalray:10.0.0.1:8080"}]})",
       {"dpus[0].credentials", "is missing", "user:password"}},
      {R"({"dpus": [{"name": "a", "uri": "kalray:10.0.0.1:8080", "credentials": "card"}]})",
       {"dpus[0].credentials is \"card\"", "begins with /"}},
      {R"({"dpus": [{"name": "a", "uri": "tcp:10.0.0.1:8080", "credentials": "/card"}]})",
       {"dpus[0].credentials", "kalray:ADDRESS:PORT only"}},
      {R"({"dpus": [{"name": "a", "uri": "unix:/x", "functions": {}}]})", {"dpus[0].functions", "only"}},
      {R"({"dpus": [{"name": "a", "uri": "kalray:10.0.0.1:8080", "credentials": "/c",
            "listener": "tcp:10.0.0.1:1"}]})",
       {"dpus[0].listener", "leave it out"}},
      {R"({"dpus": [{"name": "a", "uri": "kalray:10.0.0.1:8080", "credentials": "/c", "functions": ["x"]}]})",
       {"dpus[0].functions is [\"x\"]", "volume_09"}},
      {R"({"dpus": [{"name": "a", "uri": "kalray:10.0.0.1:8080", "credentials": "/c",
            "functions": {"volume_09": 4}}]})",
       {"dpus[0].functions", "texts"}},
      {R"({"dpus": [{"name": "a", "uri": "kalray:10.0.0.1:8080", "credentials": "/c",
            "functions": {"volume_09": "04:00.2"}}]})",
       {"dpus[0].functions", "volume_09", "04:00.2", "0000:04:00.2"}},
  };
  for (const Case& c : cases) {
    std::string problem = problem_of(c.text);
    EXPECT_TRUE(problem.starts_with("vnvmed.json: ")) << c.text << " -> " << problem;
    for (const char* word : c.words)
      EXPECT_NE(problem.find(word), std::string::npos) << c.text << " -> " << problem;
  }
}

TEST(Config, AllProblemsAreToldAtOnceButNotWithoutEnd) {
  std::string two = problem_of(R"({"run_dir": 1, "log": {"level": 2}})");
  EXPECT_NE(two.find("run_dir"), std::string::npos);
  EXPECT_NE(two.find("log.level"), std::string::npos);
  std::string many = "{";
  for (int i = 0; i < 5000; ++i) many += (i ? ",\"k" : "\"k") + std::to_string(i) + "\":1";
  EXPECT_LT(problem_of(many + "}").size(), 32u * 400u);
}

TEST(Config, HostileInputIsBounded) {
  EXPECT_NE(problem_of(std::string(100000, '[')), "");
  EXPECT_NE(problem_of("{\"run_dir\": \"/" + std::string(5000, 'x') + "\"}"), "");
  EXPECT_NE(problem_of("{\"smapi_socket\": \"/" + std::string(200, 'x') + "\"}").find("107"),
            std::string::npos);
  EXPECT_NE(problem_of("{\"a\xff\": 1}"), "");
  std::string dpus = "{\"dpus\": [";
  for (int i = 0; i < 17; ++i) dpus += (i ? ",{}" : "{}");
  EXPECT_NE(problem_of(dpus + "]}").find("at most 16"), std::string::npos);
  std::string escape = problem_of("{\"\\u001b[31m\": 1}");
  EXPECT_EQ(escape.find('\x1b'), std::string::npos);
}

TEST(Config, OfAKalrayCard) {
  auto config = parse_config(R"({"dpus": [{"name": "card", "uri": "kalray:10.0.0.1:8080",
    "credentials": "/etc/vnvme/card", "functions": {"volume_10": "0000:04:00.3", "volume_09": "0000:04:00.2"}}]})",
                             "x");
  ASSERT_TRUE(config) << config.error().text;
  EXPECT_EQ(config->dpus[0].credentials, "/etc/vnvme/card");
  ASSERT_EQ(config->dpus[0].functions.size(), 2u);
  EXPECT_EQ(config->dpus[0].functions[0].first, "volume_09");
  EXPECT_EQ(config->dpus[0].functions[0].second, "0000:04:00.2");
}

TEST(DpuUri, OnlyWhatCanBeConnectedTo) {
  for (const char* good : {"unix:/x", "tcp:127.0.0.1:5260", "tcp:[fe80::1]:1", "tcp:10.0.0.1:65535",
                           "kalray:10.0.0.1:8080", "kalray:[::1]:8080"})
    EXPECT_TRUE(check_dpu_uri(good).has_value()) << good;
  for (const char* bad :
       {"", "unix:", "unix:relative", "tcp:", "tcp:1.2.3.4", "tcp:1.2.3.4:", "tcp:1.2.3.4:0",
        "tcp:1.2.3.4:65536", "tcp:1.2.3.4:80x", "tcp:dpu.example:5260", "tcp::5260", "http://1.2.3.4:80",
        "/var/tmp/spdk.sock", "kalray:card:8080", "kalray:1.2.3.4"})
    EXPECT_FALSE(check_dpu_uri(bad).has_value()) << bad;
  EXPECT_FALSE(check_dpu_uri("unix:/" + std::string(120, 'x')).has_value());
}

TEST(ConfigFile, TheDefaultMayBeAbsentTheGivenMayNot) {
  TemporaryDirectory directory;
  EXPECT_TRUE(load_config(directory.file("absent"), false).has_value());
  auto given = load_config(directory.file("absent"), true);
  ASSERT_FALSE(given.has_value());
  EXPECT_NE(given.error().text.find("No such file"), std::string::npos);
  EXPECT_FALSE(load_config(directory.file(""), false).has_value()) << "a directory is no file";
  std::ofstream(directory.file("c")) << "{\"run_dir\": \"/r\"}";
  auto read = load_config(directory.file("c"), true);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->file, directory.file("c"));
  std::ofstream(directory.file("big")) << std::string(kConfigLimit + 1, ' ');
  EXPECT_FALSE(load_config(directory.file("big"), true).has_value());
}

}  // namespace
}  // namespace vnvme::daemon
