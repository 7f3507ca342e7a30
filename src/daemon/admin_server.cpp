#include "daemon/admin_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/json.hpp"
#include "core/log.hpp"

namespace vnvme::daemon {
namespace {

constexpr JsonLimits kRequestLimits{64u << 10, 16, 10000, 64u << 10};

std::string error_line(const Error& error) {
  return dump_json({{"error",
                     {{"code", to_string(error.code)},
                      {"outcome", to_string(error.outcome)},
                      {"text", error.text}}}}) +
         "\n";
}

std::string refusal_line(Errc code, const std::string& text) {
  return error_line({code, Outcome::not_done, text});
}

std::string result_line(const Json& result) {
  return dump_json({{"result", result}}) + "\n";
}

// Marks a stream as one that stop() may close at once, for as long as this lives.
class Quiet {
 public:
  Quiet(std::vector<Stream*>& all, Stream& stream) : all_(all), stream_(&stream) { all_.push_back(stream_); }
  ~Quiet() { std::erase(all_, stream_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  std::vector<Stream*>& all_;
  Stream* stream_;
};

bool may_take_long(const std::string& verb) {
  return verb == "adopt" || verb == "drives" || verb == "doctor";
}

}  // namespace

AdminServer::AdminServer(Executor executor, Fd socket, AdminHandler& handler, AdminLimits limits,
                         PeerPolicy may)
    : handler_(handler),
      limits_(limits),
      may_(std::move(may)),
      executor_(executor),
      listener_(executor, std::move(socket), "admin", limits.connections,
                [this](Stream& stream) { return serve(stream); }) {}

void AdminServer::stop() {
  stopping_ = true;
  listener_.stop();
  for (Stream* s : quiet_) s->close();
}

Task<bool> AdminServer::send(Stream& stream, std::string text) {
  auto sent = co_await stream.write_all(text, Deadline::after(limits_.write));
  co_return sent.has_value();
}

Task<void> AdminServer::serve(Stream& stream) {
  auto uid = stream.peer_uid();
  if (!uid || !may_(*uid)) {
    log::warning("refused a client of the admin socket", {{"uid", uid ? std::to_string(*uid) : "unknown"}});
    std::string refusal =
        refusal_line(Errc::not_permitted, "only root and the user that vnvmed runs as may use it");
    co_await send(stream, std::move(refusal));
    co_return;
  }
  std::string buffer;
  char chunk[4096];
  while (!stopping_) {
    auto end = buffer.find('\n');
    if (end == std::string::npos && buffer.size() > limits_.line) {
      std::string refusal = refusal_line(Errc::protocol, "the request line is too long");
      co_await send(stream, std::move(refusal));
      co_return;
    }
    if (end == std::string::npos) {
      Quiet quiet(quiet_, stream);
      auto n = co_await stream.read_some(chunk, sizeof chunk, Deadline::after(limits_.idle));
      if (!n) co_return;
      buffer.append(chunk, *n);
      continue;
    }
    bool again = co_await answer(stream, buffer.substr(0, end));
    if (!again) co_return;
    buffer.erase(0, end + 1);
  }
}

// True when the connection is good for another request.
Task<bool> AdminServer::answer(Stream& stream, std::string line) {
  auto request = parse_json(line, kRequestLimits);
  auto verb = request ? text_of(*request, "verb") : std::nullopt;
  if (!verb) {
    std::string why = request ? std::string("the request has no \"verb\"") : request.error().text;
    std::string refusal = refusal_line(Errc::protocol, why);
    bool sent = co_await send(stream, std::move(refusal));
    co_return sent;
  }
  const Json* given = member(*request, "args");
  Json args = given != nullptr && given->is_object() ? *given : Json::object();
  if (*verb == "events" && flag_of(args, "follow").value_or(false)) {
    co_await follow(stream, std::move(args));
    co_return false;
  }
  auto began = MonoClock::now();
  auto deadline = Deadline::after(may_take_long(*verb) ? limits_.long_answer : limits_.answer);
  auto result = co_await handler_.admin(*verb, std::move(args), deadline);
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(MonoClock::now() - began).count();
  log::debug("admin",
             {{"verb", *verb},
              {"ms", static_cast<std::int64_t>(ms)},
              {"outcome", result ? std::string("ok") : std::string(to_string(result.error().code))}});
  std::string text = result ? result_line(*result) : error_line(result.error());
  bool sent = co_await send(stream, std::move(text));
  co_return sent;
}

// Answers at once, then each time something happened, until the client leaves.
Task<void> AdminServer::follow(Stream& stream, Json args) {
  Quiet quiet(quiet_, stream);
  args.erase("follow");
  Timer tick(executor_);
  bool first = true;
  while (!stopping_ && !stream.peer_gone()) {
    auto result = co_await handler_.admin("events", args, Deadline::after(limits_.answer));
    if (!result) {
      std::string failure = error_line(result.error());
      co_await send(stream, std::move(failure));
      co_return;
    }
    const Json* events = member(*result, "events");
    bool news = events != nullptr && !events->empty();
    if (auto next = integer_of(*result, "next")) args["since"] = *next;
    bool sent = true;
    if (first || news) {
      std::string text = result_line(*result);
      sent = co_await send(stream, std::move(text));
    }
    if (!sent) co_return;
    first = false;
    tick.expires_after(limits_.follow);
    co_await tick.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
}

}  // namespace vnvme::daemon
