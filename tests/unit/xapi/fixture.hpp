// A client of a fake XAPI, under a clock that stands still.
#pragma once
#include <gtest/gtest.h>

#include "support/drive.hpp"
#include "support/fake_xapi.hpp"
#include "xapi/client.hpp"
#include "xapi/watcher.hpp"

namespace vnvme::xapi {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using test::FakeXapi;
using test::XapiCall;
using test::XapiFault;

class XapiTest : public testing::Test {
 protected:
  test::StillClock clock;
  boost::asio::io_context io;
  FakeXapi xapi{io};
  std::unique_ptr<Client> client = std::make_unique<Client>(io, xapi.connector(), Client::Options{});

  void TearDown() override {
    client->shutdown();
    test::settle(io);
    EXPECT_EQ(xapi.open_streams(), 0u) << "a connection was left open";
    client.reset();
  }

  template <class T>
  Result<T> run(std::function<Task<Result<T>>()> make) {
    auto done = test::drive<Result<T>>(io, std::move(make), minutes(10), milliseconds(200));
    if (!done) ADD_FAILURE() << "the call never ended";
    return done ? std::move(*done) : Result<T>(fail(Errc::internal, "hangs"));
  }
  // Fails the n-th call (from 0) in the given way.
  void fail_at(std::size_t n, XapiFault fault) {
    auto count = std::make_shared<std::size_t>(0);
    xapi.fault = [n, fault, count](const XapiCall&) { return (*count)++ == n ? fault : XapiFault::none; };
  }
  std::vector<std::string> methods() const {
    std::vector<std::string> out;
    for (const auto& call : xapi.calls) out.push_back(call.method);
    return out;
  }
};

}  // namespace vnvme::xapi
