#include "daemon/admin_server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "server_fixture.hpp"

namespace vnvme::daemon {
namespace {

using namespace std::chrono_literals;

class AdminServerTest : public ServerTest {
 protected:
  void serve(AdminLimits limits = {}, PeerPolicy may = root_or_self) {
    server = std::make_unique<AdminServer>(io.get_executor(), listen(), handler, limits, std::move(may));
    server->start();
    settle();
  }
  void TearDown() override {
    handler.let_go();
    server->stop();
    server->close_all();
    advance(2h);
  }
  std::unique_ptr<AdminServer> server;
};

TEST_F(AdminServerTest, AnswersLineByLine) {
  serve();
  handler.admin_answer = {{"n", 7}};
  Client client(path());
  client.send("{\"verb\":\"status\"}\n{\"verb\":\"volumes\",\"args\":{\"sr\":\"x\"}}\n");
  settle();
  EXPECT_EQ(client.take(), "{\"result\":{\"n\":7}}\n{\"result\":{\"n\":7}}\n");
  EXPECT_FALSE(client.closed());
  EXPECT_EQ(handler.admin_calls, (std::vector<std::string>{"status {}", "volumes {\"sr\":\"x\"}"}));
  for (char c : std::string("{\"verb\":\"dpu\"}\n")) {
    client.send({&c, 1});
    settle();
  }
  EXPECT_EQ(client.take(), "{\"result\":{\"n\":7}}\n");
}

TEST_F(AdminServerTest, ErrorsHaveCodeAndText) {
  serve();
  Client client(path());
  client.send("{\"verb\":\"refuse\"}\n");
  settle();
  EXPECT_EQ(client.take(),
            "{\"error\":{\"code\":\"in_use\",\"outcome\":\"not_done\",\"text\":\"somebody has it\"}}\n");
}

TEST_F(AdminServerTest, BadLinesAreAnsweredAndTheConnectionGoesOn) {
  serve();
  Client client(path());
  for (const char* bad : {"not json\n", "[]\n", "{}\n", "{\"verb\":7}\n", "\n", "{\"verb\":\"\xff\"}\n"}) {
    client.send(bad);
    settle();
    EXPECT_NE(client.take().find("\"protocol\""), std::string::npos) << bad;
  }
  EXPECT_FALSE(client.closed());
  EXPECT_TRUE(handler.admin_calls.empty());
}

TEST_F(AdminServerTest, LongLinesEndTheConnection) {
  AdminLimits limits;
  limits.line = 1000;
  serve(limits);
  Client client(path());
  client.send(std::string(9000, 'x'));
  settle();
  EXPECT_NE(client.take().find("too long"), std::string::npos);
  EXPECT_TRUE(client.closed());
}

TEST_F(AdminServerTest, DeepOrHugeRequestsAreRefused) {
  serve();
  Client client(path());
  client.send("{\"verb\":\"status\",\"args\":" + std::string(5000, '[') + std::string(5000, ']') + "}\n");
  settle();
  EXPECT_NE(client.take().find("nested deeper"), std::string::npos);
}

TEST_F(AdminServerTest, SilentClientsTimeOut) {
  serve();
  Client client(path());
  client.send("{\"verb\":");
  settle();
  advance(61s);
  client.take();
  EXPECT_TRUE(client.closed());
}

TEST_F(AdminServerTest, TheWrongPeerIsRefusedPolitely) {
  serve({}, [](uid_t) { return false; });
  Client client(path());
  client.send("{\"verb\":\"status\"}\n");
  settle();
  EXPECT_NE(client.take().find("\"not_permitted\""), std::string::npos);
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(handler.admin_calls.empty());
}

TEST_F(AdminServerTest, FollowSendsNewsAndNothingElse) {
  serve();
  handler.admin_answer = {{"next", 3}, {"events", {{{"seq", 3}}}}};
  Client client(path());
  client.send("{\"verb\":\"events\",\"args\":{\"follow\":true,\"max\":5}}\n");
  settle();
  EXPECT_EQ(client.take(), "{\"result\":{\"events\":[{\"seq\":3}],\"next\":3}}\n");
  handler.admin_answer = {{"next", 3}, {"events", Json::array()}};
  advance(500ms);
  advance(500ms);
  EXPECT_EQ(client.take(), "");
  handler.admin_answer = {{"next", 4}, {"events", {{{"seq", 4}}}}};
  advance(500ms);
  EXPECT_EQ(client.take(), "{\"result\":{\"events\":[{\"seq\":4}],\"next\":4}}\n");
  EXPECT_EQ(handler.admin_calls.front(), "events {\"max\":5}");
  EXPECT_EQ(handler.admin_calls.back(), "events {\"max\":5,\"since\":3}");
}

TEST_F(AdminServerTest, FollowEndsWithTheClient) {
  serve();
  handler.admin_answer = {{"next", 0}, {"events", Json::array()}};
  Client client(path());
  client.send("{\"verb\":\"events\",\"args\":{\"follow\":true}}\n");
  settle();
  client.leave();
  advance(500ms);
  auto asked = handler.admin_calls.size();
  advance(500ms);
  advance(500ms);
  EXPECT_EQ(handler.admin_calls.size(), asked);
}

TEST_F(AdminServerTest, ShutdownClosesTheIdleAndAnswersTheBusy) {
  serve();
  Client idle(path()), busy(path()), following(path());
  following.send("{\"verb\":\"events\",\"args\":{\"follow\":true}}\n");
  settle();
  handler.held = true;
  busy.send("{\"verb\":\"status\"}\n");
  settle();
  server->stop();
  bool ended = false;
  boost::asio::co_spawn(
      io, [&]() -> Task<void> { ended = co_await server->drained(Deadline::after(5s)); },
      boost::asio::detached);
  settle();
  idle.take();
  EXPECT_TRUE(idle.closed());
  following.take();
  EXPECT_TRUE(following.closed());
  EXPECT_FALSE(ended);
  handler.let_go();
  advance(500ms);
  EXPECT_NE(busy.take().find("result"), std::string::npos);
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace vnvme::daemon
