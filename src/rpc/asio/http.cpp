#include "rpc/asio/http.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "rpc/http.hpp"
#include "rpc/http_credentials.hpp"

namespace vnvme::rpc {
namespace {
namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

Error closed() {
  return Error{.code = Errc::cancelled, .text = "the HTTP session was closed"};
}

// What stands in the Host header: the address without the scheme in front of it.
std::string host_of(const std::string& endpoint) {
  return endpoint.substr(endpoint.find(':') + 1);
}

// Shared by the connector and its streams: the last coroutine of a stream may end a moment after both.
struct Shared {
  std::unique_ptr<Connector> lower;
  HttpOptions options;
};

class HttpStream final : public Stream {
 public:
  HttpStream(asio::io_context& io, std::shared_ptr<const Shared> shared, Secret authorization)
      : shared_(std::move(shared)),
        line_(post_line(host_of(shared_->lower->endpoint()))),
        authorization_(std::move(authorization)),
        asked_(io) {}

  Task<Result<void>> ready() override {
    if (closed_) co_return fail(closed());
    // The request before this one was given up, and the card still works on it: nobody may know how far.
    if (asking_) co_return fail(Errc::unreachable, "the card still owes the answer to an earlier request");
    if (raw_) co_return Result<void>{};
    auto shared = shared_;  // this object may go while it connects
    auto made = co_await shared->lower->connect(Deadline::after(shared->options.connect));
    if (!made) co_return fail(std::move(made.error()));
    if (closed_) co_return fail(closed());
    raw_ = std::move(*made);
    co_return Result<void>{};
  }

  void idle() override { raw_.reset(); }

  Task<Result<std::size_t>> write_some(std::string_view bytes) override {
    if (closed_ || !raw_) co_return fail(closed());
    asking_ = true;
    const auto header = post_header(bytes.size());
    const std::array<std::string_view, 4> parts{line_, authorization_.view(), header, bytes};
    for (std::string_view part : parts) {
      while (!part.empty()) {
        auto sent = co_await raw_->write_some(part);
        if (closed_) co_return fail(closed());
        if (!sent) co_return fail(std::move(sent.error()));
        part.remove_prefix(*sent);
      }
    }
    sent_ = true;
    asked_.cancel();
    co_return bytes.size();
  }

  Task<Result<std::size_t>> read_some(std::span<char> into) override {
    while (given_ == answer_.size()) {
      answer_.clear();
      given_ = 0;
      if (closed_) co_return fail(closed());
      if (!sent_) {
        asked_.expires_at(MonoClock::time_point::max());
        co_await asked_.async_wait(kAwait);
        continue;
      }
      auto frame = co_await exchange();
      if (closed_) co_return fail(closed());
      if (!frame) co_return fail(std::move(frame.error()));
      // Closed before anybody may think of the next request.
      raw_->close();
      raw_.reset();
      asking_ = sent_ = false;
      answer_ = std::move(*frame);
    }
    auto n = std::min(into.size(), answer_.size() - given_);
    std::copy_n(answer_.data() + given_, n, into.data());
    given_ += n;
    co_return n;
  }

  void close() override {
    closed_ = true;
    // Not destroyed here: a read or write on it ends first, and then looks at what it belongs to.
    if (raw_) raw_->close();
    asked_.cancel();
  }

 private:
  Task<Result<std::string>> exchange() {
    ResponseReader reader({.body = shared_->options.scan.frame_bytes});
    std::vector<char> piece(64u << 10);
    while (!reader.done()) {
      auto n = co_await raw_->read_some(std::span<char>(piece));
      if (closed_) co_return fail(closed());
      if (!n) {
        // Without a Content-Length this is how the answer ends.
        auto whole = reader.end();
        if (!whole) co_return fail(std::move(whole.error()));
        break;
      }
      auto taken = reader.feed(std::string_view(piece.data(), *n));
      if (!taken) co_return fail(std::move(taken.error()));
    }
    co_return frame_of(reader, shared_->options.scan);
  }

  std::shared_ptr<const Shared> shared_;
  std::string line_;
  Secret authorization_;
  Timer asked_;
  std::unique_ptr<Stream> raw_;
  bool asking_ = false, sent_ = false, closed_ = false;
  std::string answer_;
  std::size_t given_ = 0;
};

class HttpConnector final : public Connector {
 public:
  HttpConnector(asio::io_context& io, std::shared_ptr<const Shared> shared)
      : io_(io), shared_(std::move(shared)) {}
  [[nodiscard]] const std::string& endpoint() const override { return shared_->options.endpoint; }

  Task<Result<std::unique_ptr<Stream>>> connect(Deadline) override {
    auto authorization = read_basic_authorization(shared_->options.credentials);
    if (!authorization) co_return fail(std::move(authorization.error()));
    std::unique_ptr<Stream> stream = std::make_unique<HttpStream>(io_, shared_, std::move(*authorization));
    co_return stream;
  }

 private:
  asio::io_context& io_;
  std::shared_ptr<const Shared> shared_;
};

}  // namespace

std::unique_ptr<Connector> make_http_connector(asio::io_context& io, std::unique_ptr<Connector> lower,
                                               HttpOptions options) {
  auto shared = std::make_shared<const Shared>(Shared{std::move(lower), std::move(options)});
  return std::make_unique<HttpConnector>(io, std::move(shared));
}

Client::Options one_at_a_time(Client::Options options) {
  options.channels = 1;
  options.connection.multiplexer.max_in_flight = 1;
  return options;
}

}  // namespace vnvme::rpc
