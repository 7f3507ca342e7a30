// The XML that XAPI gives and gets; what each function asks of vnvmed; hostile callers.
#include <gtest/gtest.h>

#include "core/json.hpp"
#include "hostplugin/functions.hpp"

namespace vnvme::hostplugin {
namespace {

std::string call_text(const std::string& function, const std::string& members) {
  return "<methodCall><methodName>" + function +
         "</methodName><params><param><value>OpaqueRef:secret</value></param><param><value><struct>" +
         members + "</struct></value></param></params></methodCall>";
}
std::string argument(const std::string& name, const std::string& value) {
  return "<member><name>" + name + "</name><value>" + value + "</value></member>";
}

TEST(Request, AsXapiWritesIt) {
  auto call = parse_call(call_text("drives", argument("dpu", "dpu0") + argument("a&amp;b", "")));
  ASSERT_TRUE(call) << call.error().text;
  EXPECT_EQ(call->function, "drives");
  EXPECT_EQ(call->session, "OpaqueRef:secret");
  EXPECT_EQ(call->arguments, (std::map<std::string, std::string>{{"a&b", ""}, {"dpu", "dpu0"}}));
  auto none = parse_call(call_text("status", ""));
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->arguments.empty());
}

TEST(Request, AsPythonWritesIt) {
  auto call = parse_call(
      "<?xml version='1.0'?>\n<methodCall>\n<methodName>volumes</methodName>\n<params>\n<param>\n<value>\n "
      "<string>OpaqueRef:s</string></value>\n</param>\n<param>\n<value><struct>\n<member>\n<name>sr</name>\n"
      "<value>\n<string>\xc3\xa9 &lt;x&gt;&#10;</string>\n</value>\n</member>\n</struct></value>\n</param>\n"
      "</params>\n</methodCall>\n");
  ASSERT_TRUE(call) << call.error().text;
  EXPECT_EQ(call->session, "OpaqueRef:s");
  EXPECT_EQ(call->arguments.at("sr"), "\xc3\xa9 <x>\n");
}

TEST(Request, NothingElseIsRead) {
  const std::string good = call_text("status", argument("a", "b"));
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_FALSE(parse_call(good.substr(0, length))) << length;
  auto changed = [&good](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::vector<std::string> wrong{good + good,
                                       changed("status", ""),
                                       changed("<methodCall>", "<methodCall x='1'>"),
                                       changed("<value>b", "<value><int>1</int>"),
                                       changed("<value>b", "<value><base64>eA==</base64>"),
                                       changed("<value>b", "<value><struct></struct>"),
                                       changed("<name>a", "<name>"),
                                       changed("<param><value>OpaqueRef:secret</value></param>", ""),
                                       changed("</params>", "<param><value>x</value></param></params>"),
                                       call_text("status", argument("a", "b") + argument("a", "c")),
                                       "<methodResponse><params/></methodResponse>",
                                       "\xff\xfe<methodCall/>",
                                       changed("status", "sta\xfftus"),
                                       changed("status", "sta&undefined;tus")};
  for (const std::string& text : wrong) EXPECT_FALSE(parse_call(text)) << text;
}

TEST(Request, LimitsHold) {
  std::string deep, many;
  for (int i = 0; i < 10000; ++i) deep += "<value>";
  EXPECT_FALSE(parse_call(deep));
  for (std::size_t i = 0; i < kMostArguments; ++i) many += argument("n" + std::to_string(i), "v");
  EXPECT_TRUE(parse_call(call_text("status", many)));
  EXPECT_EQ(parse_call(call_text("status", many + argument("x", "y"))).error().code, Errc::protocol);
  EXPECT_TRUE(parse_call(call_text("status", argument("a", std::string(kMostText, 'x')))));
  EXPECT_FALSE(parse_call(call_text("status", argument("a", std::string(kMostText + 1, 'x')))));
  EXPECT_FALSE(parse_call(call_text("status", "<!--" + std::string(kMostBytes, 'x') + "-->")));
}

TEST(Request, EntitiesOfOnesOwnAreRefused) {
  std::string bomb = "<!DOCTYPE m [<!ENTITY a \"xxxxxxxxxx\">";
  for (char c = 'b'; c < 'm'; ++c) {
    std::string before(1, static_cast<char>(c - 1)), ten;
    for (int i = 0; i < 10; ++i) ten += "&" + before + ";";
    bomb += "<!ENTITY " + std::string(1, c) + " \"" + ten + "\">";
  }
  bomb += "]>" + call_text("status", argument("a", "&l;"));
  auto call = parse_call(bomb);
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().code, Errc::protocol);
  EXPECT_FALSE(parse_call("<!DOCTYPE m SYSTEM \"file:///etc/passwd\">" + call_text("status", "")));
}

TEST(Answers, AreWhatXapiReads) {
  EXPECT_EQ(
      response(success("{\"a\":\"<&>\"}")),
      "<?xml version=\"1.0\"?><methodResponse><params><param><value><struct><member><name>Status</name>"
      "<value>Success</value></member><member><name>Value</name><value>{\"a\":\"&lt;&amp;&gt;\"}</value>"
      "</member></struct></value></param></params></methodResponse>");
  EXPECT_EQ(response(failure({"VNVME_BUSY", "a\x01"})),
            "<?xml version=\"1.0\"?><methodResponse><params><param><value><struct><member><name>Status</name>"
            "<value>Failure</value></member><member><name>ErrorDescription</name><value><array><data><value>"
            "VNVME_BUSY</value><value>a?</value></data></array></value></member></struct></value></param>"
            "</params></methodResponse>");
}

// A vnvmed of two DPUs that remembers what it was asked.
class Functions : public testing::Test {
 protected:
  std::map<std::string, Json> answers{
      {"dpu", Json::array({{{"dpu", "unix:/0"}, {"name", "dpu0"}, {"raid_levels", {"raid1"}}},
                           {{"dpu", "unix:/1"}, {"name", "dpu1"}}})},
      {"drives",
       Json::array({{{"dpu", "unix:/0"}, {"serial", "S0"}}, {{"dpu", "unix:/1"}, {"serial", "S1"}}})},
      {"pools", Json::array({{{"dpu", "unix:/1"}, {"sr", "s"}}})},
      {"functions", Json::array()},
      {"volumes", Json::array()},
      {"attachments", Json::array()},
      {"events", Json{{"next", 1}}},
      {"status", Json{{"ready", true}}}};
  std::optional<Error> error;
  std::vector<std::string> asked;

  Answer run(const std::string& function, std::map<std::string, std::string> arguments = {}) {
    auto ask = [this](const std::string& verb, const Json& args, std::chrono::seconds) -> Result<Json> {
      asked.push_back(verb + dump_json(args));
      if (error) return fail(*error);
      return answers.at(verb);
    };
    return perform(Call{function, "OpaqueRef:secret", std::move(arguments)}, ask);
  }
  Json json(const std::string& function, std::map<std::string, std::string> arguments = {}) {
    Answer answer = run(function, std::move(arguments));
    EXPECT_TRUE(answer.good) << function << (answer.failed.empty() ? "" : answer.failed[0]);
    auto parsed = parse_json(answer.value);
    return parsed ? *parsed : Json();
  }
};

TEST_F(Functions, EachAnswersJson) {
  for (const std::string& name : function_names()) EXPECT_FALSE(json(name).is_null()) << name;
}

TEST_F(Functions, RowsAreThoseOfTheDpuThatWasAskedFor) {
  EXPECT_EQ(json("drives").size(), 2u);
  for (const char* dpu : {"dpu1", "unix:/1"}) {
    Json rows = json("drives", {{"dpu", dpu}});
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0]["serial"], "S1");
    EXPECT_EQ(rows[0]["dpu_name"], "dpu1");
  }
  for (const char* name : {"drives", "probe"})
    EXPECT_EQ(run(name, {{"dpu", "dpu9"}}).failed.at(0), "VNVME_NOT_FOUND") << name;
}

TEST_F(Functions, AProbeIsWhatAFormNeeds) {
  Json all = json("probe");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["raid_levels"], Json::array({"raid1"}));
  EXPECT_EQ(all[0]["drives"][0]["serial"], "S0");
  EXPECT_TRUE(all[0]["pools"].empty());
  EXPECT_EQ(all[1]["pools"][0]["sr"], "s");
  EXPECT_EQ(json("probe", {{"dpu", "dpu0"}}).size(), 1u);
}

TEST_F(Functions, UnknownOnesAndUnknownArgumentsAskNothing) {
  for (const char* name : {"", "create", "reserve", "unreserve", "adopt", "doctor", "Status", "status "})
    EXPECT_EQ(run(name).failed.at(0), "UNKNOWN_XENAPI_PLUGIN_FUNCTION") << name;
  EXPECT_EQ(run("status", {{"x", "y"}}).failed.at(0), "VNVME_INVALID_ARGUMENT");
  EXPECT_EQ(run("drives", {{"look", "true"}}).failed.at(0), "VNVME_INVALID_ARGUMENT");
  EXPECT_EQ(run("events", {{"follow", "true"}}).failed.at(0), "VNVME_INVALID_ARGUMENT");
  for (const char* most : {"0", "1001", "-1", "x", "", "99999999999999999999", "1 "})
    EXPECT_EQ(run("events", {{"max", most}}).failed.at(0), "VNVME_INVALID_ARGUMENT") << most;
  EXPECT_TRUE(asked.empty());
  json("events", {{"max", "7"}});
  EXPECT_EQ(asked.back(), "events{\"max\":7}");
}

TEST_F(Functions, FailuresHaveACodeAndTheDaemonsText) {
  error = Error{.code = Errc::unreachable, .text = "vnvmed is not reachable\n(/run)"};
  for (const std::string& name : function_names())
    EXPECT_EQ(run(name).failed,
              (std::vector<std::string>{"VNVME_UNREACHABLE", "vnvmed is not reachable\\n(/run)"}))
        << name;
  error.reset();
  answers["drives"] = Json::object();
  EXPECT_EQ(run("probe").failed.at(0), "VNVME_PROTOCOL");
  answers["volumes"] = std::string(20u << 20, 'x');
  EXPECT_EQ(run("volumes").failed.at(0), "VNVME_NO_SPACE");
}

TEST_F(Functions, TheSessionIsNeverPrinted) {
  for (const std::string& name : function_names()) {
    run(name, {{"x", "y"}});
    EXPECT_EQ(response(run(name)).find("secret"), std::string::npos);
  }
  for (const std::string& one : asked) EXPECT_EQ(one.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace vnvme::hostplugin
