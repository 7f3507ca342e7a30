// The parts of vnvme-plugin that need no process: what it was called as, the
// words of a command line, and the JSON that it writes itself.
#include <gtest/gtest.h>

#include "core/json.hpp"
#include "frontend/invocation.hpp"
#include "frontend/query.hpp"
#include "frontend/text.hpp"
#include "frontend/words.hpp"

namespace vnvme::plugin {
namespace {

constexpr const char* kProgram = "/usr/libexec/vnvme/vnvme-plugin";
constexpr const char* kFolder = "/x/volume/org.xen.xapi.storage.vnvme/";

std::string_view here() {
  return "org.xen.xapi.storage.vnvme-raw";
}

Invocation called(std::vector<const char*> words) {
  return parse_invocation(static_cast<int>(words.size()), words.data(), here);
}

TEST(Invocation, ByTheScriptsFirstLine) {
  auto call = called({kProgram, "/x/volume/org.xen.xapi.storage.vnvme/Volume.create", "--json"});
  EXPECT_EQ(call.mode, Mode::json);
  EXPECT_STREQ(call.method->name, "Volume.create");
  EXPECT_EQ(call.sr_type, "vnvme");
}

TEST(Invocation, AsASymlinkInAnyCase) {
  auto call = called({"/x/volume/org.xen.xapi.storage.vnvme-raw/sr.STAT", "-j"});
  EXPECT_EQ(call.mode, Mode::json);
  EXPECT_STREQ(call.method->name, "SR.stat");
  EXPECT_EQ(call.sr_type, "vnvme-raw");
}

TEST(Invocation, ADatapathFolderHasNoType) {
  auto call = called({kProgram, "/x/datapath/vnvme//Datapath.attach", "--json"});
  EXPECT_EQ(call.mode, Mode::json);
  EXPECT_EQ(call.directory, "vnvme");
  EXPECT_TRUE(call.sr_type.empty());
}

TEST(Invocation, WithoutAFolderTheWorkingDirectoryTellsTheType) {
  EXPECT_EQ(called({kProgram, "Volume.stat", "--json"}).sr_type, "vnvme-raw");
  EXPECT_EQ(called({kProgram, "./Volume.stat", "--json"}).sr_type, "vnvme-raw");
}

TEST(Invocation, ScriptsThatAreNoMethodOfOurs) {
  EXPECT_EQ(called({kProgram, "/x/Volume.compose", "--json"}).mode, Mode::unknown);
  EXPECT_EQ(called({kProgram, "/x/Volume.compose", "--json"}).name, "Volume.compose");
  EXPECT_EQ(called({kProgram, "/x/"}).mode, Mode::unknown);
}

TEST(Invocation, CallsThatMakeNoSense) {
  EXPECT_EQ(called({}).mode, Mode::unusable);
  EXPECT_EQ(called({kProgram}).mode, Mode::unusable);
  EXPECT_EQ(called({kProgram, "--json"}).mode, Mode::unusable);
  EXPECT_EQ(called({kProgram, "-x"}).mode, Mode::unusable);
  for (auto folder : {"org.xen.xapi.storage./", "org.xen.xapi.storage.a b/", "org.xen.xapi.storage.\n/",
                      "org.xen.xapi.storage.a.b/"}) {
    auto path = std::string("/x/") + folder + "SR.stat";
    auto call = called({kProgram, path.c_str(), "--json"});
    EXPECT_EQ(call.mode, Mode::unusable) << path;
    EXPECT_FALSE(call.problem.empty());
  }
  auto longer = "/x/org.xen.xapi.storage." + std::string(65, 'x') + "/SR.stat";
  EXPECT_EQ(called({kProgram, longer.c_str(), "--json"}).mode, Mode::unusable);
}

TEST(Invocation, HelpAndVersionWinOverWords) {
  EXPECT_EQ(called({kProgram, "--help"}).mode, Mode::help);
  EXPECT_EQ(called({kProgram, "-h"}).mode, Mode::help);
  EXPECT_EQ(called({kProgram, "--version"}).mode, Mode::version);
  EXPECT_EQ(called({kProgram, "/x/datapath/vnvme/Datapath.attach", "--help"}).mode, Mode::help);
  EXPECT_EQ(called({kProgram, "/x/Nothing", "--help"}).mode, Mode::help);
}

std::string words(const char* method, std::vector<const char*> rest, std::string* problem = nullptr) {
  auto script = std::string(kFolder) + method;
  std::vector<const char*> argv{kProgram, script.c_str()};
  argv.insert(argv.end(), rest.begin(), rest.end());
  auto call = called(argv);
  EXPECT_EQ(call.mode, Mode::words);
  TextBuffer<1024> out;
  auto why = words_to_request(out, call, static_cast<int>(argv.size()), argv.data());
  if (problem != nullptr) *problem = why;
  return why.empty() ? std::string(out.view()) : "refused";
}

TEST(Words, AsStaticVdisPassesThem) {
  EXPECT_EQ(words("SR.attach",
                  {"static-vdis", "--configuration", "dpu", "unix:/a", "--configuration", "b", "c\"d"}),
            R"({"configuration":{"dpu":"unix:/a","b":"c\"d"},"dbg":"static-vdis"})");
  EXPECT_EQ(words("SR.attach", {"--configuration", "a", "--json-not", "static-vdis"}),
            R"({"configuration":{"a":"--json-not"},"dbg":"static-vdis"})");
  EXPECT_EQ(words("Volume.stat", {"static-vdis", "SR", "KEY"}),
            R"({"sr":"SR","key":"KEY","dbg":"static-vdis"})");
  EXPECT_EQ(words("Datapath.attach", {"static-vdis", "vnvme:///a/b", "0"}),
            R"({"uri":"vnvme:///a/b","domain":"0","dbg":"static-vdis"})");
  EXPECT_EQ(words("Plugin.Query", {"static-vdis"}), R"({"dbg":"static-vdis"})");
}

TEST(Words, WhatDoesNotFitIsRefusedWithTheReason) {
  std::string why;
  EXPECT_EQ(words("Volume.stat", {"static-vdis", "SR"}, &why), "refused");
  EXPECT_NE(why.find("missing"), std::string::npos);
  EXPECT_EQ(words("Volume.stat", {"static-vdis", "SR", "KEY", "more"}, &why), "refused");
  EXPECT_NE(why.find("too many"), std::string::npos);
  EXPECT_EQ(words("Volume.stat", {"1", "2", "3", "4", "5", "6"}, &why), "refused");
  EXPECT_EQ(words("Volume.stat", {}, &why), "refused");
  EXPECT_EQ(words("SR.attach", {"me", "--configuration"}, &why), "refused");
  EXPECT_EQ(words("SR.attach", {"me", "--configuration", "key"}, &why), "refused");
  EXPECT_NE(why.find("key and a value"), std::string::npos);
  EXPECT_EQ(words("Volume.create", {"me", "SR"}, &why), "refused");
  EXPECT_NE(why.find("--json"), std::string::npos);
  std::string large(2000, 'x');
  EXPECT_EQ(words("Volume.stat", {"me", "SR", large.c_str()}, &why), "refused");
  EXPECT_NE(why.find("limit"), std::string::npos);
}

TEST(JsonText, EscapesWhatMustBeAndReplacesWhatIsNoText) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "\xC3\xAF\xE2\x98\x83\xF0\x9F\x92\xBE";
  TextBuffer<2048> out;
  out.add_quoted(all);
  auto back = parse_json(out.view());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->get<std::string>(), all);
  for (const char* bad : {"\xFF", "\xE2\x98", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xF0\x80\x80\x80", "\xE0\x80\x80"}) {
    TextBuffer<64> text;
    text.add_quoted(bad);
    EXPECT_TRUE(parse_json(text.view())) << text.view();
  }
}

TEST(JsonText, NumbersAndTheEndOfTheBuffer) {
  TextBuffer<32> numbers;
  numbers.add_number(0).add(" ").add_number(UINT64_MAX);
  EXPECT_EQ(numbers.view(), "0 18446744073709551615");
  TextBuffer<4> small;
  small.add("abc").add("de").add("f");
  EXPECT_EQ(small.view(), "abcf");
  EXPECT_TRUE(small.overflow());
}

Json query(std::string_view type) {
  TextBuffer<8192> out;
  write_query(out, type);
  EXPECT_FALSE(out.overflow());
  auto json = parse_json(out.view());
  EXPECT_TRUE(json) << out.view();
  return json.value_or(Json::object());
}

TEST(Query, HasAllTenFieldsForEveryType) {
  for (auto type : {"", "vnvme", "vnvme-raw", "dummyv5"}) {
    auto q = query(type);
    EXPECT_EQ(q.size(), 10u);
    EXPECT_EQ(q["plugin"], *type == '\0' ? "vnvme" : type) << "XAPI dials the queue of this name";
    EXPECT_EQ(q["required_api_version"], "5.0") << "the broker refuses every other one";
    EXPECT_TRUE(q["features"].is_array() && q["configuration"].is_object() &&
                q["required_cluster_stack"].is_array());
    for (auto name : {"name", "description", "vendor", "copyright", "version"})
      EXPECT_TRUE(q[name].is_string()) << name;
  }
}

TEST(Query, FeaturesDifferByType) {
  auto has = [](const Json& q, const char* feature) {
    return std::find(q["features"].begin(), q["features"].end(), feature) != q["features"].end();
  };
  for (auto feature : {"VDI_SNAPSHOT", "VDI_CLONE", "VDI_RESIZE", "VDI_RESIZE_ONLINE", "VDI_REVERT"}) {
    EXPECT_TRUE(has(query("vnvme"), feature)) << feature;
    EXPECT_FALSE(has(query("vnvme-raw"), feature)) << feature;
  }
  EXPECT_TRUE(has(query("vnvme-raw"), "VDI_ACTIVATE_READONLY"));
  EXPECT_FALSE(has(query("vnvme"), "SR_STATS")) << "XAPI would make a volume of its own in the SR";
  EXPECT_TRUE(query("")["features"].empty());
  EXPECT_TRUE(query("")["configuration"].empty());
  EXPECT_TRUE(query("vnvme")["configuration"].contains("raid"));
}

TEST(Errors, AreCompleteObjects) {
  TextBuffer<2048> out;
  write_error(out, "SR_BACKEND_FAILURE_47", "no \"daemon\"\n");
  auto json = parse_json(out.view());
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["params"], (Json{"", "no \"daemon\"\n", ""}));
  EXPECT_EQ((*json)["backtrace"],
            (Json{{"error", "no \"daemon\"\n"}, {"files", Json::array()}, {"lines", Json::array()}}));
  out.clear();
  write_unimplemented(out, "Volume.\xFF");
  auto second = parse_json(out.view());
  ASSERT_TRUE(second) << out.view();
  EXPECT_EQ((*second)["params"][0], "Unimplemented");
}

}  // namespace
}  // namespace vnvme::plugin
