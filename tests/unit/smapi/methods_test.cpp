// Every method: what the handler is asked, what XAPI gets, and that each
// parameter that is missing or wrong is refused by its name.
#include <gtest/gtest.h>

#include <fstream>

#include "core/json.hpp"
#include "core/text.hpp"
#include "smapi/methods.hpp"
#include "unit/smapi/fake_handler.hpp"

namespace vnvme::smapi::testing {
namespace {

struct Case {
  std::string method;
  Json request;
  std::string asked;
  std::string answer;
  bool word = false;
};

const std::string kUri = "vnvme:///" + kSr + "/" + kVolume;

std::string volume_json() {
  return R"({"key":")" + kVolume + R"(","uuid":")" + kVolume +
         R"(","name":"disk \"one\"","description":"","read_write":true,"sharable":false,)"
         R"("virtual_size":21474836480,"physical_utilisation":4194304,"uri":[")" +
         kUri + R"("],"keys":{"vdi-type":"user"}})";
}

std::string stat_json() {
  return R"({"sr":")" + kSr + R"(","uuid":")" + kSr +
         R"(","name":"fast","description":"","free_space":1073741824,"total_space":2147483648,)"
         R"("datasources":[],"clustered":false,"health":["Healthy",""]})";
}

const std::string kBackendJson =
    R"({"implementations":[["XenDisk",{"params":"p","extra":{"k":"v"},"backend_type":"9pfs"}],)"
    R"(["File",{"path":"/run/f"}],["BlockDevice",{"path":"/dev/nvme0n1"}]]})";

std::vector<Case> sr_cases() {
  Json one{{"sr", kSr}};
  Json configuration{{"dpu", "unix:/a"}, {"drives", "x,y"}};
  return {
      {"SR.probe", {{"configuration", configuration}}, "SR.probe({dpu=unix:/a;drives=x,y})", "[]"},
      {"SR.create",
       {{"uuid", kSr}, {"configuration", configuration}, {"name", "n"}, {"description", "d"}},
       "SR.create(" + kSr + ", {dpu=unix:/a;drives=x,y}, n, d)",
       R"({"dpu":"unix:/a","drives":"x,y"})"},
      {"SR.attach",
       {{"configuration", configuration}},
       "SR.attach({dpu=unix:/a;drives=x,y})",
       "\"" + kSr + "\""},
      {"SR.detach", one, "SR.detach(" + kSr + ")", "null"},
      {"SR.destroy", one, "SR.destroy(" + kSr + ")", "null"},
      {"SR.stat", one, "SR.stat(" + kSr + ")", stat_json()},
      {"SR.ls", one, "SR.ls(" + kSr + ")", "[" + volume_json() + "]"},
      {"SR.set_name", {{"sr", kSr}, {"new_name", "x"}}, "SR.set_name(" + kSr + ", x)", "null"},
      {"SR.set_description",
       {{"sr", kSr}, {"new_description", ""}},
       "SR.set_description(" + kSr + ", )",
       "null"},
  };
}

std::vector<Case> volume_cases() {
  Json both{{"sr", kSr}, {"key", kVolume}};
  auto with = [&both](Json more) {
    more.update(both);
    return more;
  };
  std::string ids = kSr + ", " + kVolume;
  return {
      {"Volume.create",
       {{"sr", kSr}, {"name", "n"}, {"description", "d"}, {"size", 8388608}, {"sharable", true}},
       "Volume.create(" + kSr + ", n, d, 8388608, sharable)",
       volume_json(),
       true},
      {"Volume.snapshot", both, "Volume.snapshot(" + ids + ")", volume_json(), true},
      {"Volume.clone", both, "Volume.clone(" + ids + ")", volume_json(), true},
      {"Volume.destroy", both, "Volume.destroy(" + ids + ")", "null"},
      {"Volume.stat", both, "Volume.stat(" + ids + ")", volume_json()},
      {"Volume.set_name", with({{"new_name", "x"}}), "Volume.set_name(" + ids + ", x)", "null"},
      {"Volume.set_description", with({{"new_description", "x"}}), "Volume.set_description(" + ids + ", x)",
       "null"},
      {"Volume.set", with({{"k", "a"}, {"v", "b"}}), "Volume.set(" + ids + ", a, b)", "null"},
      {"Volume.unset", with({{"k", "a"}}), "Volume.unset(" + ids + ", a)", "null"},
      {"Volume.resize", with({{"new_size", 4096}}), "Volume.resize(" + ids + ", 4096)", "null"},
      {"Volume.revert", with({{"snapshot", kSnapshot}}),
       "Volume.revert(" + kSr + ", " + kSnapshot + ", " + kVolume + ")", "null"},
  };
}

std::vector<Case> datapath_cases() {
  Json both{{"uri", kUri}, {"domain", "17"}};
  std::string words = kUri + ", 17";
  return {
      {"Datapath.attach", both, "Datapath.attach(" + words + ")", kBackendJson},
      {"Datapath.activate", both, "Datapath.activate(" + words + ", rw)", "null"},
      {"Datapath.activate_readonly", both, "Datapath.activate_readonly(" + words + ", ro)", "null"},
      {"Datapath.deactivate", both, "Datapath.deactivate(" + words + ")", "null"},
      {"Datapath.detach", both, "Datapath.detach(" + words + ")", "null"},
  };
}

std::vector<Case> all_cases() {
  auto all = sr_cases();
  for (auto part : {volume_cases(), datapath_cases()}) all.insert(all.end(), part.begin(), part.end());
  for (auto& c : all) c.request["dbg"] = "test\n00-trace";
  return all;
}

class EveryMethod : public ::testing::TestWithParam<Case> {};

TEST_P(EveryMethod, AsksTheHandlerAndAnswersXapi) {
  const auto& c = GetParam();
  FakeHandler handler;
  auto answer = ask(handler, c.method, dump_json(c.request));
  EXPECT_EQ(answer.type, frame::Type::result) << answer.body;
  EXPECT_EQ(answer.flags, c.word ? frame::kNeedsWord : 0);
  EXPECT_EQ(answer.body, c.answer);
  ASSERT_EQ(handler.asked.size(), 1u);
  EXPECT_EQ(handler.asked[0], c.asked);
  EXPECT_EQ(handler.contexts[0].sr_type, "vnvme");
  EXPECT_EQ(handler.contexts[0].request.value, "99999999-2222-4333-8444-555555555555");
}

TEST_P(EveryMethod, IsFoundWhateverItsCase) {
  auto c = GetParam();
  for (auto& letter : c.method) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  FakeHandler handler;
  EXPECT_EQ(ask(handler, c.method, dump_json(c.request)).body, c.answer);
  EXPECT_EQ(handler.contexts.at(0).method, GetParam().method);
}

TEST_P(EveryMethod, RefusesEachMissingOrWrongParameterByItsName) {
  const auto& c = GetParam();
  const std::vector<Json> wrong{nullptr, 1.5, Json::array({1}), -3, "", true, 7, Json::object({{"a", 1}})};
  for (auto it = c.request.begin(); it != c.request.end(); ++it) {
    if (it.key() == "dbg") continue;
    auto expect_refused = [&](const Json& request) {
      FakeHandler handler;
      auto answer = ask(handler, c.method, dump_json(request));
      if (answer.type == frame::Type::result) return false;
      EXPECT_TRUE(handler.asked.empty());
      EXPECT_NE(answer.body.find("'" + it.key() + "'"), std::string::npos) << answer.body;
      EXPECT_NE(answer.body.find(c.method), std::string::npos) << answer.body;
      return true;
    };
    auto request = c.request;
    request.erase(it.key());
    EXPECT_EQ(expect_refused(request), it.key() != "sharable") << it.key();
    int accepted = 0;
    for (const auto& value : wrong) {
      request[it.key()] = value;
      if (!expect_refused(request)) ++accepted;
    }
    // one of the eight has the right type: "" for a text, true for a flag, 7 for a size, none for ids and
    // maps
    bool id = it.key() == "sr" || it.key() == "key" || it.key() == "uuid" || it.key() == "snapshot";
    EXPECT_EQ(accepted, id || it.key() == "configuration" ? 0 : 1) << it.key();
  }
}

TEST_P(EveryMethod, PassesOnTheHandlersError) {
  FakeHandler handler;
  handler.error = Error{Errc::io, Outcome::not_done, "the disk of dom0 is full"};
  auto answer = ask(handler, GetParam().method, dump_json(GetParam().request));
  EXPECT_EQ(answer.type, frame::Type::error);
  EXPECT_EQ(answer.flags, 0);
  auto json = parse_json(answer.body);
  ASSERT_TRUE(json) << answer.body;
  EXPECT_EQ(text_of(*json, "code"), "SR_BACKEND_FAILURE_200");
  EXPECT_EQ((*json)["params"], (Json{"", "the disk of dom0 is full", ""}));
}

INSTANTIATE_TEST_SUITE_P(Smapi, EveryMethod, ::testing::ValuesIn(all_cases()), [](const auto& c) {
  auto name = c.param.method;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

TEST(Methods, TheTablesAgree) {
  std::set<std::string> tested;
  for (const auto& c : all_cases()) tested.insert(c.method);
  for (const auto& facts : kMethods) {
    EXPECT_EQ(find_method(facts.name, std::strlen(facts.name)), &facts);
    if (facts.local) continue;
    EXPECT_NE(find_daemon_method(facts.name), nullptr) << facts.name;
    EXPECT_TRUE(tested.erase(facts.name)) << facts.name;
  }
  EXPECT_TRUE(tested.empty());
  EXPECT_EQ(find_method("Volume.sta", 10), nullptr);
  EXPECT_EQ(find_method("Volume.stats", 12), nullptr);
  EXPECT_EQ(find_method("", 0), nullptr);
}

TEST(Methods, TheManifestHasThemAllAndNoOther) {
  std::ifstream manifest(VNVME_SOURCE "/plugins/manifest");
  std::set<std::string> rows;
  for (std::string line; std::getline(manifest, line);)
    if (!line.empty() && line[0] != '#') rows.insert(line.substr(0, line.find(' ')));
  std::set<std::string> ours;
  for (const auto& facts : kMethods) ours.insert(facts.name);
  EXPECT_EQ(rows, ours);
}

TEST(Methods, OnlyThoseThatMakeVolumesNeedTheWord) {
  std::set<std::string> word;
  for (const auto& facts : kMethods)
    if (facts.needs_word) word.insert(facts.name);
  EXPECT_EQ(word, (std::set<std::string>{"Volume.create", "Volume.snapshot", "Volume.clone"}));
}

TEST(Methods, TheDaemonHasLessTimeThanTheFrontEnd) {
  EXPECT_EQ(daemon_deadline_ms(60000), 58000u);
  EXPECT_EQ(daemon_deadline_ms(10000), 8000u);
  EXPECT_EQ(daemon_deadline_ms(1000), 750u);
  EXPECT_EQ(daemon_deadline_ms(0), 0u);
}

TEST(Parameters, LimitsAreSharp) {
  auto create = [](Json change) {
    Json request{{"sr", kSr}, {"name", "n"}, {"description", ""}, {"size", 1}, {"sharable", false}};
    request.update(change);
    FakeHandler handler;
    return ask(handler, "Volume.create", dump_json(request)).type == frame::Type::result;
  };
  EXPECT_TRUE(create({{"name", std::string(64 << 10, 'x')}}));
  EXPECT_FALSE(create({{"name", std::string((64 << 10) + 1, 'x')}}));
  EXPECT_TRUE(create({{"sr", std::string(256, 'x')}}));
  EXPECT_FALSE(create({{"sr", std::string(257, 'x')}}));
  EXPECT_TRUE(create({{"size", 0}}));
  EXPECT_TRUE(create({{"size", INT64_MAX}}));
  EXPECT_FALSE(create({{"size", static_cast<std::uint64_t>(INT64_MAX) + 1}}));
  EXPECT_FALSE(create({{"size", "8388608"}}));
  EXPECT_FALSE(create({{"size", 1048576.0}}));
}

TEST(Parameters, AConfigurationIsBoundedAndHoldsStrings) {
  auto attach = [](const Json& configuration) {
    FakeHandler handler;
    return ask(handler, "SR.attach", dump_json({{"configuration", configuration}}));
  };
  Json many = Json::object();
  for (int i = 0; i < 256; ++i) many["k" + std::to_string(i)] = "v";
  EXPECT_EQ(attach(many).type, frame::Type::result);
  many["one more"] = "v";
  EXPECT_EQ(attach(many).type, frame::Type::error);
  EXPECT_NE(attach({{"dpu", 7}}).body.find("'dpu' is a number"), std::string::npos);
  EXPECT_EQ(attach({{"k", std::string((64 << 10) + 1, 'x')}}).type, frame::Type::error);
  EXPECT_EQ(attach({{std::string((64 << 10) + 1, 'x'), "v"}}).type, frame::Type::error);
}

TEST(Parameters, UuidsBecomeCanonicalAndOtherIdsStay) {
  FakeHandler handler;
  ask(handler, "Volume.stat", R"({"sr":"dummySR","key":"AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE"})");
  EXPECT_EQ(handler.asked.at(0), "Volume.stat(dummySR, " + kVolume + ")");
}

}  // namespace
}  // namespace vnvme::smapi::testing
