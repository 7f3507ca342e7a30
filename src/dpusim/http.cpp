#include "dpusim/http.hpp"

#include <time.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <cstdio>

#include "dpusim/base64.hpp"
#include "dpusim/server.hpp"

namespace vnvme::sim {
namespace asio = boost::asio;
namespace {

std::string date() {
  char text[64];
  time_t now = ::time(nullptr);
  tm parts{};
  ::gmtime_r(&now, &parts);
  return {text, ::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::string head(const std::string& status, const std::string& more = "") {
  return "HTTP/1.0 " + status + "\r\nServer: vnvme-dpusim\r\nDate: " + date() + "\r\n" + more +
         "Content-type: text/html\r\n\r\n";
}

std::string unsupported(const std::string& method) {
  std::string body =
      "<!DOCTYPE HTML>\n<html lang=\"en\"><head><title>Error response</title></head><body><h1>Error "
      "response</h1>"
      "<p>Error code: 501</p></body></html>\n";
  return head("501 Unsupported method ('" + method + "')",
              "Connection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n") +
         body;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<std::string> HttpServer::listen(const std::string& host_port, const std::string& auth_file) {
  auto text = read_file(auth_file, 4096);
  if (!text) return fail(text.error());
  auto line = std::string(trimmed(std::string_view(*text).substr(0, text->find('\n'))));
  if (line.find(':') == std::string::npos)
    return fail(Errc::invalid_argument, auth_file + " holds no line user:password");
  credentials_ = "Basic " + base64(line);
  auto endpoint = parse_endpoint(host_port);
  if (!endpoint) return fail(endpoint.error());
  boost::system::error_code error;
  acceptor_.open(endpoint->protocol(), error);
  if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor_.bind(*endpoint, error);
  if (!error) acceptor_.listen(5, error);
  if (error) return fail(Errc::internal, "http " + host_port + ": " + error.message());
  asio::co_spawn(io_, accept_loop(), asio::detached);
  return "http://" + endpoint->address().to_string() + ":" +
         std::to_string(acceptor_.local_endpoint(error).port());
}

void HttpServer::stop() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

asio::awaitable<void> HttpServer::accept_loop() {
  while (acceptor_.is_open()) {
    boost::system::error_code error;
    Socket socket = co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error) continue;
    co_await serve(socket);
  }
}

// More bytes until the buffer holds `wanted`; false when the peer is gone.
asio::awaitable<bool> HttpServer::fill(Socket& socket, std::string& buffer, std::size_t wanted) {
  char piece[16384];
  while (buffer.size() < wanted) {
    boost::system::error_code error;
    auto n = co_await socket.async_read_some(asio::buffer(piece),
                                             asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return false;
    buffer.append(piece, n);
  }
  co_return true;
}

asio::awaitable<bool> HttpServer::read_head(Socket& socket, std::string& buffer, Request& request) {
  std::size_t end = std::string::npos;
  while (end == std::string::npos) {
    if (buffer.size() > kMostHead) co_return false;
    bool more = co_await fill(socket, buffer, buffer.size() + 1);
    if (!more) co_return false;
    end = buffer.find("\r\n\r\n");
  }
  auto text = std::string_view(buffer).substr(0, end);
  auto line = text.substr(0, text.find("\r\n"));
  request.method = std::string(line.substr(0, line.find(' ')));
  while (text.find("\r\n") != std::string_view::npos) {
    text.remove_prefix(text.find("\r\n") + 2);
    auto header = text.substr(0, text.find("\r\n"));
    auto colon = header.find(':');
    if (colon == std::string_view::npos) continue;
    auto name = lower(std::string(header.substr(0, colon)));
    auto value = trimmed(header.substr(colon + 1));
    if (name == "authorization") request.authorization = std::string(value);
    if (name == "content-length") std::from_chars(value.data(), value.data() + value.size(), request.length);
    if (name == "transfer-encoding") request.chunked = lower(std::string(value)) == "chunked";
  }
  buffer.erase(0, end + 4);
  co_return true;
}

asio::awaitable<bool> HttpServer::read_chunks(Socket& socket, std::string& buffer, Request& request) {
  while (request.body.size() <= kMostBody) {
    while (buffer.find("\r\n") == std::string::npos) {
      if (buffer.size() > 32) co_return false;
      bool more = co_await fill(socket, buffer, buffer.size() + 1);
      if (!more) co_return false;
    }
    std::size_t size = 0;
    auto line_end = buffer.find("\r\n");
    auto parsed = std::from_chars(buffer.data(), buffer.data() + line_end, size, 16);
    if (parsed.ec != std::errc{} || size > kMostBody) co_return false;
    bool whole = co_await fill(socket, buffer, line_end + 2 + size + 2);
    if (!whole) co_return false;
    request.body += buffer.substr(line_end + 2, size);
    buffer.erase(0, line_end + 2 + size + 2);
    if (size == 0) co_return true;
  }
  co_return false;
}

asio::awaitable<bool> HttpServer::read_body(Socket& socket, std::string& buffer, Request& request) {
  if (request.chunked) {
    bool ok = co_await read_chunks(socket, buffer, request);
    co_return ok;
  }
  if (request.length > kMostBody) co_return false;
  bool whole = co_await fill(socket, buffer, request.length);
  if (whole) request.body = buffer.substr(0, request.length);
  co_return whole;
}

// In pieces of an odd size, so that they end in the middle of everything.
std::string HttpServer::in_chunks(const std::string& body) {
  constexpr std::size_t kPiece = 999;
  std::string out = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  char size[32];
  for (std::size_t at = 0; at < body.size(); at += kPiece) {
    auto piece = body.substr(at, kPiece);
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    out += size + piece + "\r\n";
  }
  return out + "0\r\n\r\n";
}

// The text after the status line and headers; empty when the connection is to be closed without a word.
asio::awaitable<std::string> HttpServer::answer(Socket& socket, std::string body) {
  JsonLimits limits{.bytes = kMostBody, .depth = 65, .values = 16'384, .string_bytes = kMostBody};
  auto json = parse_json(body, limits);
  bool ascii =
      std::all_of(body.begin(), body.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!json || !ascii) co_return head("500 Internal Server Error");
  // Shared with the answer, which may come after this client is gone.
  struct Waiting {
    explicit Waiting(asio::io_context& io) : timer(io) {}
    Timer timer;
    std::string text, http;
    bool there = false;
  };
  auto waiting = std::make_shared<Waiting>(io_);
  waiting->timer.expires_at(MonoClock::time_point::max());
  dispatcher_.serve(body, false, [waiting](const Mangled& out) {
    for (const auto& text : out.writes) waiting->text += text;
    waiting->http = out.http;
    waiting->there = true;
    waiting->timer.cancel();
  });
  if (!json->is_object() || !json->contains("id"))
    co_return "";  // the proxy gives up: it finds no id to wait for
  boost::system::error_code ignored;
  if (!waiting->there) {
    // The real proxy would wait for ever for an answer that never comes, and serve nobody else. Here a client
    // that hangs up ends it, so that a test can go on.
    socket.async_wait(Socket::wait_read, [waiting](boost::system::error_code) { waiting->timer.cancel(); });
    co_await waiting->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    socket.cancel(ignored);
  }
  if (waiting->http == "status_401") co_return head("401 Unauthorized", "WWW-Authenticate: text/html\r\n");
  if (waiting->http == "status_500") co_return head("500 Internal Server Error");
  if (waiting->http == "chunked") co_return in_chunks(waiting->text);
  co_return waiting->text.empty() ? "" : head("200 OK") + waiting->text;
}

asio::awaitable<void> HttpServer::serve(Socket& socket) {
  std::string buffer, out;
  Request request;
  bool ok = co_await read_head(socket, buffer, request);
  if (!ok) co_return;
  if (request.method == "HEAD") {
    out = head("200 OK");
  } else if (request.method != "POST") {
    out = unsupported(request.method);
  } else if (request.authorization != credentials_) {
    out = head("401 Unauthorized", "WWW-Authenticate: text/html\r\n");
  } else {
    ok = co_await read_body(socket, buffer, request);
    if (!ok) co_return;
    out = co_await answer(socket, request.body);
  }
  boost::system::error_code ignored;
  if (!out.empty())
    co_await asio::async_write(socket, asio::buffer(out), asio::redirect_error(asio::use_awaitable, ignored));
  socket.shutdown(asio::socket_base::shutdown_both, ignored);
}

}  // namespace vnvme::sim
