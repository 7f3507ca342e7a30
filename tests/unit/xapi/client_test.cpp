// The client against a XAPI that fails at every step in every way.
#include "xapi/client.hpp"

#include "fixture.hpp"
#include "support/fake_xapi_records.hpp"

namespace vnvme::xapi {
namespace {

Deadline soon() {
  return Deadline::after(seconds(30));
}

class ClientTest : public XapiTest {
 protected:
  std::string vm = xapi.add("VM", {{"other_config", {{"a", "b"}}}});
  Result<void> set(const std::string& key, const std::string& value) {
    return run<void>([this, key, value] {
      return client->set_key(Class::vm, Ref(vm), Field::other_config, key, value, soon());
    });
  }
  Json other_config() const { return xapi.find(vm)->at("other_config"); }
};

TEST_F(ClientTest, LogsInOnceAndReadsARecord) {
  auto record = run<Record>([this] { return client->get_record(Class::vm, Ref(vm), soon()); });
  ASSERT_TRUE(record) << record.error().describe();
  EXPECT_EQ(std::get<Vm>(*record).other_config.at("a"), "b");
  EXPECT_EQ(std::get<Vm>(*record).power_state, PowerState::halted);
  EXPECT_TRUE(std::get<Vm>(*record).resident_on.empty());
  auto state = run<PowerState>([this] { return client->get_power_state(Ref(vm), soon()); });
  EXPECT_EQ(state, PowerState::halted);
  EXPECT_EQ(xapi.logins, 1u);
  EXPECT_EQ(client->session(), 1u);
  EXPECT_EQ(client->trouble(), "");
  EXPECT_EQ(xapi.calls[0].params, (Json{"root", "", "1.0", "vnvmed"}));
}

TEST_F(ClientTest, BeforeTheFirstCallThereIsTroubleToTell) {
  EXPECT_NE(client->trouble().find("memory:xapi"), std::string::npos);
  EXPECT_EQ(client->session(), 0u);
}

TEST_F(ClientTest, ManyCallersShareOneLogin) {
  int done = 0;
  for (int i = 0; i < 8; ++i)
    boost::asio::co_spawn(
        io, [this]() { return client->get_power_state(Ref(vm), soon()); },
        [&done](std::exception_ptr, Result<PowerState> r) { done += r ? 1 : 0; });
  test::settle(io);
  EXPECT_EQ(done, 8);
  EXPECT_EQ(xapi.logins, 1u);
}

TEST_F(ClientTest, ASessionThatIsOverIsRenewedOnce) {
  ASSERT_TRUE(set("k", "v"));
  xapi.end_sessions();
  ASSERT_TRUE(set("l", "v"));
  EXPECT_EQ(xapi.logins, 2u);
  EXPECT_EQ(client->session(), 2u);
  xapi.fault = [](const XapiCall& call) {
    return call.method == "VM.add_to_other_config" ? XapiFault::session_invalid : XapiFault::none;
  };
  auto refused = set("m", "v");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unreachable);
  EXPECT_EQ(refused.error().outcome, Outcome::not_done);
}

TEST_F(ClientTest, SeveralCallersOfADeadSessionRenewItOnce) {
  ASSERT_TRUE(set("k", "v"));
  xapi.end_sessions();
  int done = 0;
  for (int i = 0; i < 8; ++i)
    boost::asio::co_spawn(
        io, [this]() { return client->get_power_state(Ref(vm), soon()); },
        [&done](std::exception_ptr, Result<PowerState> r) { done += r ? 1 : 0; });
  test::settle(io);
  EXPECT_EQ(done, 8);
  EXPECT_EQ(xapi.logins, 2u);
}

TEST_F(ClientTest, SetKeyReplacesAndIsIdempotent) {
  ASSERT_TRUE(set("pci", "0/0000:01:00.0"));
  EXPECT_EQ(other_config()["pci"], "0/0000:01:00.0");
  ASSERT_TRUE(set("pci", "0/0000:01:00.1"));
  ASSERT_TRUE(set("pci", "0/0000:01:00.1"));
  EXPECT_EQ(other_config()["pci"], "0/0000:01:00.1");
  EXPECT_EQ(other_config()["a"], "b");
  auto removed = [this] {
    return run<void>(
        [this] { return client->remove_key(Class::vm, Ref(vm), Field::other_config, "pci", soon()); });
  };
  EXPECT_TRUE(removed());
  EXPECT_TRUE(removed());
  EXPECT_FALSE(other_config().contains("pci"));
}

TEST_F(ClientTest, AKeyThatSomebodyElseKeepsWritingEndsBusy) {
  xapi.before = [this](const XapiCall& call) {
    if (call.method != "VM.add_to_other_config") return;
    auto map = other_config();
    map["pci"] = "theirs";
    xapi.set(vm, "other_config", map);
  };
  auto fought = set("pci", "ours");
  ASSERT_FALSE(fought);
  EXPECT_EQ(fought.error().code, Errc::busy);
  EXPECT_EQ(fought.error().outcome, Outcome::unknown);
  EXPECT_LE(xapi.calls.size(), 10u);
}

TEST_F(ClientTest, RefusalsSayWhatTheyAre) {
  auto missing = run<Record>([this] { return client->get_record(Class::vm, Ref("OpaqueRef:no"), soon()); });
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
  EXPECT_EQ(missing.error().outcome, Outcome::not_done);
  EXPECT_NE(missing.error().text.find("HANDLE_INVALID, VM, OpaqueRef:no"), std::string::npos);
  EXPECT_EQ(missing.error().step, "VM.get_record");
  EXPECT_EQ(missing.error().peer, "memory:xapi");
  auto unknown = run<Ref>([this] { return client->get_by_uuid(Class::vdi, "x", soon()); });
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::not_found);
  auto unsupported = run<void>(
      [this] { return client->remove_key(Class::host, Ref(vm), Field::blocked_operations, "x", soon()); });
  ASSERT_FALSE(unsupported);
}

TEST_F(ClientTest, EveryOtherCallReachesXapi) {
  auto sr = xapi.add("SR"), pbd = xapi.add("PBD"), vbd = xapi.add("VBD", {{"userdevice", "0"}});
  auto ref = run<Ref>([&, this] {
    return client->get_by_uuid(Class::sr, xapi.find(sr)->at("uuid").get<std::string>(), soon());
  });
  ASSERT_TRUE(ref);
  EXPECT_EQ(ref->str(), sr);
  EXPECT_TRUE(run<void>([&, this] { return client->plug_pbd(Ref(pbd), soon()); }));
  EXPECT_TRUE(xapi.find(pbd)->at("currently_attached"));
  EXPECT_TRUE(run<void>([&, this] { return client->set_userdevice(Ref(vbd), "4", soon()); }));
  EXPECT_EQ(xapi.find(vbd)->at("userdevice"), "4");
  EXPECT_TRUE(run<void>([&, this] { return client->scan_sr(Ref(sr), soon()); }));
  auto devices =
      run<std::vector<std::string>>([&, this] { return client->get_allowed_VBD_devices(Ref(vm), soon()); });
  ASSERT_TRUE(devices);
  EXPECT_EQ(devices->at(2), "4");
  auto all =
      run<std::vector<Record>>([this] { return client->get_all_records_where(Class::vm, "", soon()); });
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), 1u);
  auto none = run<std::vector<Record>>(
      [this] { return client->get_all_records_where(Class::vm, "field \"uuid\" = \"x\"", soon()); });
  ASSERT_TRUE(none);
  EXPECT_EQ(none->size(), 0u);
}

TEST_F(ClientTest, AMessageIsCutToWhatXapiTakes) {
  Message message;
  message.name = "VNVME_POOL_DEGRADED";
  message.cls = Class::host;
  message.body = std::string(100'000, 'x') + "\xFF";
  message.uuid = test::fake_uuid(2);  // the host of the fake
  auto ref = run<Ref>([&, this] { return client->create_message(message, soon()); });
  ASSERT_TRUE(ref) << ref.error().describe();
  const auto& params = xapi.calls.back().params;
  EXPECT_EQ(params[3], "Host");
  EXPECT_EQ(params[2], 3);
  EXPECT_LE(params[5].get<std::string>().size(), 16u << 10);
  message.uuid = "nobody";
  auto refused = run<Ref>([&, this] { return client->create_message(message, soon()); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::not_found);
}

TEST_F(ClientTest, LogoutEndsTheSession) {
  ASSERT_TRUE(set("k", "v"));
  EXPECT_EQ(xapi.sessions(), 1u);
  run<void>([this]() -> Task<Result<void>> {
    co_await client->logout(soon());
    co_return Result<void>();
  });
  EXPECT_EQ(xapi.sessions(), 0u);
  ASSERT_TRUE(set("l", "v"));
}

TEST_F(ClientTest, ShutdownEndsWhatWaits) {
  xapi.fault = [](const XapiCall& call) {
    return call.method == "VM.get_power_state" ? XapiFault::silent_before : XapiFault::none;
  };
  std::optional<Result<PowerState>> answer;
  boost::asio::co_spawn(
      io, [this]() { return client->get_power_state(Ref(vm), soon()); },
      [&answer](std::exception_ptr, Result<PowerState> r) { answer = std::move(r); });
  test::settle(io);
  EXPECT_FALSE(answer);
  client->shutdown();
  test::settle(io);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error().code, Errc::cancelled);
  auto after = run<PowerState>([this] { return client->get_power_state(Ref(vm), soon()); });
  EXPECT_EQ(after.error().code, Errc::cancelled);
}

TEST_F(ClientTest, TooManyAtOnceAreRefused) {
  Client::Options options;
  options.channel.requests = 2;
  client = std::make_unique<Client>(io, xapi.connector(), options);
  ASSERT_TRUE(set("k", "v"));
  xapi.fault = [](const XapiCall&) { return XapiFault::silent_before; };
  std::vector<Errc> codes;
  for (int i = 0; i < 3; ++i)
    boost::asio::co_spawn(
        io, [this]() { return client->get_power_state(Ref(vm), soon()); },
        [&codes](std::exception_ptr, Result<PowerState> r) { codes.push_back(r.error().code); });
  test::settle(io);
  EXPECT_EQ(codes, std::vector<Errc>{Errc::busy});
  client->shutdown();
  test::settle(io);
  EXPECT_EQ(codes.size(), 3u);
}

TEST_F(ClientTest, AnAnswerMayComeByteByByte) {
  xapi.chunk = 1;
  EXPECT_TRUE(set("k", "v"));
  auto record = run<Record>([this] { return client->get_record(Class::vm, Ref(vm), soon()); });
  EXPECT_TRUE(record);
}

// F1: one write of a key, made of login, add (refused: duplicate), remove, add. Each step fails in each way;
// then the outcome must be true, nothing else may have changed, and the next try must succeed.
TEST_F(ClientTest, EveryStepFailsInEveryWay) {
  std::size_t cases = 0;
  for (auto fault : test::all_xapi_faults()) {
    for (std::size_t step = 0; step < 4; ++step) {
      SCOPED_TRACE(test::name_of(fault) + " at step " + std::to_string(step));
      ++cases;
      client->shutdown();
      test::settle(io);
      client = std::make_unique<Client>(io, xapi.connector(), Client::Options{});
      xapi.set(vm, "other_config", {{"a", "b"}, {"pci", "old"}});
      xapi.refuse = fault == XapiFault::refuse;
      fail_at(step, fault == XapiFault::refuse ? XapiFault::none : fault);
      auto done = set("pci", "new");
      auto value = other_config().contains("pci") ? other_config()["pci"].get<std::string>() : "";
      if (done) {
        EXPECT_EQ(value, "new");
      } else if (done.error().outcome == Outcome::not_done) {
        EXPECT_EQ(value, "old") << done.error().describe();
      }
      EXPECT_TRUE(done || done.error().outcome != Outcome::done);
      EXPECT_TRUE(done || !done.error().text.empty());
      EXPECT_EQ(other_config()["a"], "b");
      xapi.refuse = false;
      xapi.fault = [](const XapiCall&) { return XapiFault::none; };
      auto again = set("pci", "new");
      ASSERT_TRUE(again) << again.error().describe();
      EXPECT_EQ(other_config()["pci"], "new");
      EXPECT_EQ(client->trouble(), "");
    }
  }
  RecordProperty("cases", static_cast<int>(cases));
  EXPECT_EQ(cases, test::all_xapi_faults().size() * 4);
}

// Reads: whatever fails, absence is never made up (I2), and every call ends.
TEST_F(ClientTest, NoFaultEverLooksLikeAbsence) {
  for (auto fault : test::all_xapi_faults()) {
    for (std::size_t step = 0; step < 2; ++step) {
      SCOPED_TRACE(test::name_of(fault) + " at step " + std::to_string(step));
      client->shutdown();
      test::settle(io);
      client = std::make_unique<Client>(io, xapi.connector(), Client::Options{});
      xapi.refuse = fault == XapiFault::refuse;
      fail_at(step, fault == XapiFault::refuse ? XapiFault::none : fault);
      auto record = run<Record>([this] { return client->get_record(Class::vm, Ref(vm), soon()); });
      EXPECT_TRUE(record || record.error().code != Errc::not_found);
      fail_at(step, fault == XapiFault::refuse ? XapiFault::none : fault);
      auto all =
          run<std::vector<Record>>([this] { return client->get_all_records_where(Class::vm, "", soon()); });
      EXPECT_TRUE(!all || all->size() == 1);
      xapi.refuse = false;
      xapi.fault = [](const XapiCall&) { return XapiFault::none; };
    }
  }
}

}  // namespace
}  // namespace vnvme::xapi
