#include "daemon/smapi_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "server_fixture.hpp"
#include "smapi/frame_io.hpp"

namespace vnvme::daemon {
namespace {

using namespace std::chrono_literals;
using frame::Type;

constexpr const char* kId1 = "11111111-1111-4111-8111-111111111111";
constexpr const char* kId2 = "22222222-2222-4222-8222-222222222222";
constexpr const char* kStat = R"({"sr":"5a3f0c1e-1111-4222-8333-000000000001","dbg":"t"})";

std::string create_body(const std::string& name) {
  return R"({"sharable":false,"size":1048576,"description":"","name":")" + name +
         R"(","sr":"5a3f0c1e-1111-4222-8333-000000000001","dbg":"t"})";
}

std::string call(const std::string& id, const std::string& method, const std::string& body,
                 std::uint32_t ms = 8000) {
  return smapi::encode_frame(Type::call, 0,
                             smapi::encode_header({RequestId(id), method, "vnvme", "0.1.0", ms}), body);
}
std::string printing(const std::string& id) {
  return smapi::encode_frame(Type::printing, 0, smapi::encode_header({RequestId(id), "", "", "", 0}), "");
}

struct Frame {
  Type type;
  std::uint8_t flags;
  std::string body;
};

// The frames in what a client received; a rest that is no whole frame fails the test.
std::vector<Frame> frames(std::string bytes) {
  std::vector<Frame> all;
  while (!bytes.empty()) {
    auto p = smapi::parse_prefix(bytes.substr(0, sizeof(frame::Prefix)), frame::kAnswerLimit);
    std::size_t whole = p ? sizeof(frame::Prefix) + p->header_len + p->body_len : 0;
    if (!p || bytes.size() < whole) {
      ADD_FAILURE() << "not a whole frame: " << bytes.size() << " bytes";
      return all;
    }
    all.push_back({static_cast<Type>(p->type), p->flags,
                   bytes.substr(sizeof(frame::Prefix) + p->header_len, p->body_len)});
    bytes.erase(0, whole);
  }
  return all;
}

class SmapiServerTest : public ServerTest {
 protected:
  SmapiServer& serve(SmapiLimits limits = {}, PeerPolicy may = root_or_self) {
    server = std::make_unique<SmapiServer>(io.get_executor(), listen(), handler, limits, std::move(may));
    server->start();
    settle();
    return *server;
  }
  // Exactly one frame, then the connection is closed.
  Frame last_frame(Client& client) {
    auto all = frames(client.take());
    EXPECT_EQ(all.size(), 1u);
    EXPECT_TRUE(client.closed());
    return all.empty() ? Frame{Type::call, 0, ""} : all.front();
  }
  std::string take_all(Client& client) {
    std::string all;
    for (int i = 0; i < 1000 && !client.closed(); ++i) {
      all += client.take();
      settle();
    }
    return all;
  }
  void expect_error(Client& client, const std::string& text) {
    Frame f = last_frame(client);
    EXPECT_EQ(f.type, Type::error);
    auto json = parse_json(f.body);
    ASSERT_TRUE(json.has_value()) << f.body;
    for (const char* required : {"code", "params", "backtrace"})
      EXPECT_TRUE(json->contains(required)) << f.body;
    EXPECT_NE(f.body.find(text), std::string::npos) << f.body;
  }
  bool drained = false, drain_result = false;
  void drain(MonoClock::duration time) {
    boost::asio::co_spawn(
        io,
        [this, time]() -> Task<void> {
          drain_result = co_await server->drained(Deadline::after(time));
          drained = true;
        },
        boost::asio::detached);
    settle();
  }
  void TearDown() override {
    if (!server) return;
    handler.let_go();
    server->stop();
    server->close_all();
    advance(2h);
  }
  std::unique_ptr<SmapiServer> server;
};

TEST_F(SmapiServerTest, AnswersACallAndCloses) {
  serve();
  Client client(path());
  client.send(call(kId1, "SR.stat", kStat));
  settle();
  Frame f = last_frame(client);
  EXPECT_EQ(f.type, Type::result);
  EXPECT_EQ(f.flags, 0);
  EXPECT_TRUE(parse_json(f.body).has_value());
  EXPECT_EQ(server->running(), 0u);
}

TEST_F(SmapiServerTest, ErrorsAreCompleteErrorObjects) {
  serve();
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("refused")));
  settle();
  expect_error(client, "the pool is full");
  EXPECT_TRUE(handler.abandoned_ids.empty()) << "nothing was made, so nothing is to be collected";
}

TEST_F(SmapiServerTest, OneByteAPacket) {
  serve();
  Client client(path());
  for (char c : call(kId1, "SR.stat", kStat)) {
    ASSERT_TRUE(client.send({&c, 1}));
    settle();
  }
  EXPECT_EQ(last_frame(client).type, Type::result);
}

TEST_F(SmapiServerTest, TwoFramesInOnePacket) {
  serve();
  Client word(path()), twice(path());
  word.send(call(kId1, "Volume.create", create_body("a")) + printing(kId1));
  twice.send(call(kId2, "SR.stat", kStat) + call(kId2, "SR.stat", kStat));
  settle();
  auto answered = frames(word.take());
  ASSERT_EQ(answered.size(), 2u);
  EXPECT_EQ(answered[0].flags, frame::kNeedsWord);
  EXPECT_EQ(answered[1].type, Type::print);
  EXPECT_EQ(last_frame(twice).type, Type::result) << "one call a connection: the second is not looked at";
  EXPECT_EQ(handler.calls.size(), 2u);
}

TEST_F(SmapiServerTest, TheWordMakesItVisibleOnce) {
  serve();
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("a")));
  settle();
  auto result = frames(client.take());
  ASSERT_EQ(result.size(), 1u);
  EXPECT_EQ(result[0].flags, frame::kNeedsWord);
  EXPECT_TRUE(handler.printed.empty());
  client.send(printing(kId1));
  settle();
  EXPECT_EQ(last_frame(client).type, Type::print);
  EXPECT_EQ(handler.printed, std::vector<std::string>{kId1});
  EXPECT_TRUE(handler.abandoned_ids.empty());
  EXPECT_EQ(handler.ledger[RequestId(kId1)], result[0].body);

  Client again(path());
  again.send(call(kId1, "Volume.create", create_body("a")));
  settle();
  Frame recalled = last_frame(again);
  EXPECT_EQ(recalled.body, result[0].body) << "the same answer";
  EXPECT_EQ(recalled.flags, 0) << "no second word";
  EXPECT_EQ(handler.calls.size(), 1u) << "not made twice";
}

TEST_F(SmapiServerTest, TheWordThatCannotBeKeptIsAnError) {
  serve();
  handler.printing_fails = true;
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("a")));
  settle();
  client.take();
  client.send(printing(kId1));
  settle();
  expect_error(client, "disk is full");
  EXPECT_TRUE(handler.abandoned_ids.empty()) << "the handler knows already";
}

TEST_F(SmapiServerTest, AWordThatIsNotKeptInTimeIsAskedAgain) {
  serve();
  handler.hold_printing = true;
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("a"), 8000));
  settle();
  client.take();
  client.send(printing(kId1));
  settle();
  advance(10s);
  EXPECT_TRUE(client.take().empty()) << "no verdict is invented";
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(handler.abandoned_ids.empty());
  EXPECT_EQ(server->running(), 1u);

  Client again(path());
  again.send(call(kId1, "Volume.create", create_body("a"), 8000));
  settle();
  EXPECT_EQ(frames(again.take()).size(), 1u);
  again.send(printing(kId1));
  handler.let_go();
  settle();
  EXPECT_EQ(last_frame(again).type, Type::print);
  EXPECT_EQ(handler.printed.size(), 1u);
  EXPECT_EQ(server->running(), 0u);
}

TEST_F(SmapiServerTest, LostBeforeTheWordIsAbandoned) {
  serve();
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("a")));
  settle();
  client.leave();
  settle();
  EXPECT_EQ(handler.abandoned_ids, std::vector<std::string>{kId1});
  EXPECT_EQ(server->running(), 0u);
}

TEST_F(SmapiServerTest, LostWhileItRunsIsAbandonedWhenItEnds) {
  serve();
  handler.held = true;
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("a")));
  settle();
  client.leave();
  settle();
  EXPECT_TRUE(handler.abandoned_ids.empty()) << "it runs on: its effects may have begun";
  handler.let_go();
  settle();
  EXPECT_EQ(handler.abandoned_ids, std::vector<std::string>{kId1});
}

TEST_F(SmapiServerTest, LostAfterTheWordIsNot) {
  serve();
  handler.hold_printing = true;
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("a")));
  settle();
  client.send(printing(kId1));
  settle();
  client.leave();
  handler.let_go();
  settle();
  EXPECT_TRUE(handler.abandoned_ids.empty());
  EXPECT_EQ(handler.ledger.count(RequestId(kId1)), 1u);
  EXPECT_EQ(server->running(), 0u);
}

TEST_F(SmapiServerTest, WithoutTheWordInTimeItIsAbandoned) {
  serve();
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("a"), 8000));
  settle();
  client.take();
  advance(7s);
  EXPECT_TRUE(handler.abandoned_ids.empty());
  advance(2s);
  EXPECT_EQ(handler.abandoned_ids, std::vector<std::string>{kId1});
  client.take();
  EXPECT_TRUE(client.closed());
}

TEST_F(SmapiServerTest, AnotherFrameInsteadOfTheWordIsNotTheWord) {
  for (const std::string& wrong :
       {printing(kId2), call(kId1, "Volume.create", create_body("a")), std::string(16, 'x'),
        std::string("VNV1\x04\0\0\0\xff\xff\0\0\0\0\0\0", 16)}) {
    handler.abandoned_ids.clear();
    if (!server) serve();
    Client client(path());
    client.send(call(kId1, "Volume.create", create_body("a")));
    settle();
    client.take();
    client.send(wrong);
    settle();
    EXPECT_EQ(handler.abandoned_ids, std::vector<std::string>{kId1});
    EXPECT_TRUE(handler.printed.empty());
  }
}

TEST_F(SmapiServerTest, TheSameIdTwiceRunsOnceAndBothAreAnswered) {
  serve();
  handler.held = true;
  Client one(path()), two(path());
  one.send(call(kId1, "Volume.create", create_body("a")));
  two.send(call(kId1, "Volume.create", create_body("a")));
  settle();
  EXPECT_EQ(handler.calls.size(), 1u);
  handler.let_go();
  settle();
  auto first = frames(one.take()), second = frames(two.take());
  ASSERT_EQ(first.size(), 1u);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(first[0].body, second[0].body);
  one.leave();
  settle();
  EXPECT_TRUE(handler.abandoned_ids.empty()) << "the other one is still there to say the word";
  two.send(printing(kId1));
  settle();
  EXPECT_EQ(last_frame(two).type, Type::print);
  EXPECT_TRUE(handler.abandoned_ids.empty());
}

TEST_F(SmapiServerTest, BothMaySayTheWordAtOnce) {
  serve();
  handler.hold_printing = true;
  Client one(path()), two(path());
  for (Client* c : {&one, &two}) c->send(call(kId1, "Volume.create", create_body("a")));
  settle();
  for (Client* c : {&one, &two}) {
    c->take();
    c->send(printing(kId1));
  }
  settle();
  EXPECT_EQ(handler.printed.size(), 1u);
  handler.let_go();
  settle();
  EXPECT_EQ(last_frame(one).type, Type::print);
  EXPECT_EQ(last_frame(two).type, Type::print);
}

TEST_F(SmapiServerTest, TheSameIdForAnotherCallIsAConflict) {
  serve();
  handler.held = true;
  Client one(path()), two(path()), three(path());
  one.send(call(kId1, "SR.stat", kStat));
  settle();
  two.send(call(kId1, "Volume.create", create_body("a")));
  three.send(call(kId1, "SR.stat", R"({"sr":"other","dbg":"t"})"));
  settle();
  expect_error(two, kId1);
  expect_error(three, kId1);
  handler.let_go();
  settle();
  EXPECT_EQ(last_frame(one).type, Type::result);
}

TEST_F(SmapiServerTest, AHungCallIsAnsweredAtItsDeadlineAndBlocksNobody) {
  serve();
  handler.held = true;
  Client hung(path());
  hung.send(call(kId1, "SR.stat", kStat, 8000));
  settle();
  advance(8s);
  EXPECT_TRUE(hung.take().empty()) << "the handler's own answer would still be in time";
  advance(600ms);
  expect_error(hung, "has not ended within");
  EXPECT_EQ(server->running(), 1u) << "it goes on";
  Client other(path());
  other.send(call(kId2, "SR.ls", kStat));
  settle();
  EXPECT_EQ(frames(take_all(other)).size(), 1u);
  handler.let_go();
  settle();
  EXPECT_EQ(server->running(), 0u);
}

TEST_F(SmapiServerTest, ALargeAnswerWaitsForASlowReader) {
  serve();
  Client slow(path());
  slow.send(call(kId1, "SR.ls", kStat));
  settle();
  advance(9s);
  auto f = frames(take_all(slow));
  ASSERT_EQ(f.size(), 1u);
  EXPECT_GT(f[0].body.size(), 3'000'000u);
}

TEST_F(SmapiServerTest, AReaderThatTakesNothingIsGivenUp) {
  serve();
  Client stuck(path());
  stuck.send(call(kId1, "SR.ls", kStat));
  settle();
  EXPECT_EQ(server->running(), 1u);
  advance(31s);
  EXPECT_EQ(server->running(), 0u);
}

TEST_F(SmapiServerTest, SlowAndSilentClientsTimeOut) {
  serve();
  std::string whole = call(kId1, "SR.stat", kStat);
  for (std::size_t sent :
       {std::size_t{0}, std::size_t{3}, std::size_t{16}, std::size_t{40}, whole.size() - 1}) {
    Client client(path());
    client.send(whole.substr(0, sent));
    settle();
    advance(11s);
    expect_error(client, "sent nothing in time");
  }
  EXPECT_TRUE(handler.calls.empty());
}

TEST_F(SmapiServerTest, AClientThatLeavesHalfWayIsForgotten) {
  serve();
  std::string whole = call(kId1, "SR.stat", kStat);
  for (std::size_t sent = 0; sent < whole.size(); ++sent) {
    Client client(path());
    client.send(whole.substr(0, sent));
    settle();
    client.leave();
    settle();
  }
  EXPECT_TRUE(handler.calls.empty());
  server->stop();
  drain(0s);
  EXPECT_TRUE(drained && drain_result) << "nothing of them is left";
}

TEST_F(SmapiServerTest, FramesBeyondTheLimitsAreRefusedBeforeTheyAreRead) {
  serve();
  auto prefix = [](Type type, std::uint32_t header, std::uint32_t body) {
    auto p = frame::make_prefix(type, 0, header, body);
    return std::string(reinterpret_cast<const char*>(&p), sizeof p);
  };
  struct Case {
    std::string bytes;
    const char* text;
  };
  for (const Case& c :
       {Case{prefix(Type::call, 100, frame::kBodyLimit + 1), "limits"},
        Case{prefix(Type::call, frame::kHeaderLimit + 1, 1), "limits"},
        Case{prefix(Type::call, UINT32_MAX, UINT32_MAX), "limits"},
        Case{prefix(Type::printing, 0, 0), "begins with a call"}, Case{"GET / HTTP/1.1\r\n", "VNV1"},
        Case{smapi::encode_frame(Type::call, 0, "id=nonsense\nmethod=SR.stat\ndeadline_ms=1\n", "{}"),
             "uuid"},
        Case{smapi::encode_frame(Type::call, 0, "method=SR.stat\ndeadline_ms=1\n", "{}"), "no id"},
        Case{smapi::encode_frame(Type::call, 0, std::string("id=") + kId1 + "\nmethod=SR.stat\n", "{}"),
             "deadline"}}) {
    Client client(path());
    client.send(c.bytes);
    settle();
    expect_error(client, c.text);
  }
  EXPECT_TRUE(handler.calls.empty());
}

TEST_F(SmapiServerTest, BadJsonAndUnknownMethodsAreAnswered) {
  serve();
  for (const auto& [method, body] :
       {std::pair{"SR.stat", "{"}, {"SR.stat", "[]"}, {"SR.explode", "{}"}, {"SR.stat", "{}"}}) {
    Client client(path());
    client.send(call(kId1, method, body));
    settle();
    expect_error(client, "");
  }
}

TEST_F(SmapiServerTest, TheWrongPeerIsRefusedPolitely) {
  std::vector<uid_t> asked;
  serve({}, [&asked](uid_t uid) {
    asked.push_back(uid);
    return false;
  });
  Client client(path());
  client.send(call(kId1, "SR.stat", kStat));
  settle();
  expect_error(client, "only root");
  EXPECT_EQ(asked, std::vector<uid_t>{::geteuid()}) << "the kernel's word, not the client's";
  EXPECT_TRUE(handler.calls.empty());
}

TEST_F(SmapiServerTest, TooManyConnectionsWaitTheirTurn) {
  SmapiLimits limits;
  limits.connections = 4;
  serve(limits);
  handler.held = true;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<Client>(path()));
    std::string id = kId1;
    id.back() = static_cast<char>('0' + i);
    clients.back()->send(call(id, "SR.stat", kStat));
  }
  settle();
  EXPECT_EQ(handler.calls.size(), 4u);
  handler.let_go();
  settle();
  for (auto& c : clients) EXPECT_EQ(last_frame(*c).type, Type::result);
  EXPECT_EQ(handler.calls.size(), 10u);
}

TEST_F(SmapiServerTest, TooManyRunsAreBusy) {
  SmapiLimits limits;
  limits.runs = 2;
  serve(limits);
  handler.held = true;
  Client one(path()), two(path()), three(path());
  one.send(call("11111111-1111-4111-8111-000000000001", "SR.stat", kStat));
  two.send(call("11111111-1111-4111-8111-000000000002", "SR.stat", kStat));
  settle();
  three.send(call("11111111-1111-4111-8111-000000000003", "SR.stat", kStat));
  settle();
  expect_error(three, "requests run already");
}

TEST_F(SmapiServerTest, BodiesInFlightAreBounded) {
  SmapiLimits limits;
  limits.body_bytes = 300;
  serve(limits);
  handler.held = true;
  Client one(path()), two(path());
  one.send(call(kId1, "Volume.create", create_body(std::string(150, 'a'))));
  settle();
  two.send(call(kId2, "Volume.create", create_body(std::string(150, 'b'))));
  settle();
  expect_error(two, "try again");
  handler.let_go();
  settle();
  one.take();
  one.leave();
  settle();
  Client three(path());
  three.send(call(kId2, "Volume.create", create_body(std::string(150, 'b'))));
  settle();
  EXPECT_EQ(frames(three.take()).size(), 1u) << "the room came back";
}

TEST_F(SmapiServerTest, ShutdownLetsCallsEndAndTakesNoNewOnes) {
  serve();
  handler.held = true;
  Client running(path()), silent(path());
  running.send(call(kId1, "SR.stat", kStat));
  silent.send("VNV1");
  settle();
  server->stop();
  drain(5s);
  EXPECT_FALSE(drained);
  silent.take();
  EXPECT_TRUE(silent.closed()) << "it has not asked anything: it tries again";
  handler.let_go();
  settle();
  EXPECT_EQ(last_frame(running).type, Type::result);
  EXPECT_TRUE(drained && drain_result);
}

TEST_F(SmapiServerTest, ShutdownWaitsForTheWordToo) {
  serve();
  Client client(path());
  client.send(call(kId1, "Volume.create", create_body("a")));
  settle();
  server->stop();
  drain(5s);
  EXPECT_FALSE(drained);
  client.take();
  client.send(printing(kId1));
  settle();
  EXPECT_EQ(last_frame(client).type, Type::print);
  EXPECT_TRUE(drained && drain_result);
}

TEST_F(SmapiServerTest, ShutdownIsBoundedAndNeverHalfAnswers) {
  serve();
  handler.held = true;
  Client client(path());
  client.send(call(kId1, "SR.stat", kStat, 60000));
  settle();
  server->stop();
  drain(5s);
  advance(6s);
  EXPECT_TRUE(drained);
  EXPECT_FALSE(drain_result);
  server->close_all();
  settle();
  EXPECT_TRUE(client.take().empty()) << "no answer is better than half of one: the front-end asks again";
}

TEST_F(SmapiServerTest, AcceptErrorsDoNotEndTheServer) {
  serve();
  // Out of descriptors: take all that are left, then let the server try.
  std::vector<Fd> hoard;
  Client client(path());
  for (int fd = 0; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && hoard.size() < 100000;)
    hoard.emplace_back(fd);
  ASSERT_EQ(errno, EMFILE);
  settle();
  client.send(call(kId1, "SR.stat", kStat));
  advance(150ms);
  EXPECT_TRUE(handler.calls.empty());
  hoard.clear();
  advance(150ms);
  EXPECT_EQ(last_frame(client).type, Type::result);
}

}  // namespace
}  // namespace vnvme::daemon
