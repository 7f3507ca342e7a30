#include "daemon/smapi_server.hpp"

#include "core/log.hpp"
#include "smapi/errors.hpp"
#include "smapi/frame_io.hpp"

namespace vnvme::daemon {
namespace {

// The handler promises to end by the deadline; the connection waits a little longer before it answers for it,
// still within the margin that the front-end keeps.
MonoClock::duration grace(Deadline deadline) {
  return std::min<MonoClock::duration>(deadline.left() / 8, std::chrono::milliseconds(500));
}

Error overdue(const Run& run) {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(MonoClock::now() - run.began).count();
  log::error("request passed its deadline and still runs", {{"id", run.call.id.str()},
                                                            {"method", run.call.method},
                                                            {"object", object_of(run.call.body)},
                                                            {"ms", std::int64_t{ms}}});
  return {Errc::timeout, Outcome::unknown,
          run.call.method + " has not ended within " + std::to_string(ms) +
              " ms and goes on in the background; see `vnvme status`, then try again"};
}

}  // namespace

SmapiServer::SmapiServer(Executor executor, Fd socket, smapi::Handler& handler, SmapiLimits limits,
                         PeerPolicy may)
    : executor_(executor),
      limits_(limits),
      may_(std::move(may)),
      runs_(executor, handler, limits.runs),
      listener_(executor, std::move(socket), "smapi", limits.connections,
                [this](Stream& stream) { return serve(stream); }) {}

void SmapiServer::stop() {
  listener_.stop();
  for (Stream* s : reading_) s->close();
}

Task<bool> SmapiServer::drained(Deadline deadline) {
  bool runs = co_await runs_.drained(deadline);
  bool streams = co_await listener_.drained(deadline);
  co_return runs&& streams;
}

Task<bool> SmapiServer::send(Stream& stream, frame::Type type, std::uint8_t flags, std::string_view body) {
  // prefix and body apart: an answer of 64 MiB is not copied once more
  auto prefix = frame::make_prefix(type, flags, 0, static_cast<std::uint32_t>(body.size()));
  Deadline deadline = Deadline::after(limits_.write);
  auto sent = co_await stream.write_all({reinterpret_cast<const char*>(&prefix), sizeof prefix}, deadline);
  if (!sent) co_return false;
  sent = co_await stream.write_all(body, deadline);
  co_return sent.has_value();
}

Task<void> SmapiServer::send_error(Stream& stream, Error error, std::string method) {
  std::string body = smapi::encode_error(error, {std::move(method), "", ""});
  co_await send(stream, frame::Type::error, 0, body);
}

Task<void> SmapiServer::serve(Stream& stream) {
  auto uid = stream.peer_uid();
  if (!uid || !may_(*uid)) {
    log::warning("refused a client of the SMAPI socket", {{"uid", uid ? std::to_string(*uid) : "unknown"}});
    Error refusal{Errc::not_permitted, Outcome::not_done,
                  "only root and the user that vnvmed runs as may call it"};
    co_await send_error(stream, std::move(refusal), std::string());
    co_return;
  }
  std::size_t reserved = 0;
  reading_.push_back(&stream);
  auto call = co_await read_call(stream, reserved);
  std::erase(reading_, &stream);
  incoming_bytes_ -= reserved;
  if (call) {
    co_await answer_call(stream, std::move(*call));
  } else if (call.error().code != Errc::unreachable) {
    log::warning("refused a call frame", {{"why", call.error().text}});
    co_await send_error(stream, call.error(), std::string());
  }
}

Task<Result<smapi::CallFrame>> SmapiServer::read_call(Stream& stream, std::size_t& reserved) {
  Deadline deadline = Deadline::after(limits_.read);
  char head[sizeof(frame::Prefix)];
  auto got = co_await stream.read_exact(head, sizeof head, deadline);
  if (!got) co_return fail(got.error());
  auto prefix = smapi::parse_prefix({head, sizeof head});
  if (!prefix) co_return fail(prefix.error());
  if (prefix->type != static_cast<std::uint8_t>(frame::Type::call))
    co_return fail(Errc::protocol, "a connection begins with a call, not with a frame of type " +
                                       std::to_string(prefix->type));
  std::size_t held = incoming_bytes_ + runs_.body_bytes();
  if (held + prefix->body_len > limits_.body_bytes)
    co_return fail(Errc::busy, "the calls in flight hold " + std::to_string(held) + " bytes; try again");
  reserved = prefix->body_len;
  incoming_bytes_ += reserved;
  std::string header(prefix->header_len, '\0');
  got = co_await stream.read_exact(header.data(), header.size(), deadline);
  if (!got) co_return fail(got.error());
  auto parsed = smapi::parse_header(header, true);
  if (!parsed) co_return fail(parsed.error());
  std::string body(prefix->body_len, '\0');
  got = co_await stream.read_exact(body.data(), body.size(), deadline);
  if (!got) co_return fail(got.error());
  auto allowed =
      std::min<MonoClock::duration>(std::chrono::milliseconds(parsed->deadline_ms), limits_.longest);
  co_return smapi::CallFrame{std::move(parsed->id), std::move(parsed->method), std::move(parsed->sr_type),
                             Deadline::after(allowed), std::move(body)};
}

Task<void> SmapiServer::answer_call(Stream& stream, smapi::CallFrame call) {
  std::string method = call.method;
  // Its own: a call that comes again brings less time than the first one had, but later.
  const Deadline its_deadline = call.deadline;
  const Deadline deadline(its_deadline.at() + grace(its_deadline));
  auto joined = runs_.join(std::move(call));
  if (!joined) {
    co_await send_error(stream, joined.error(), method);
    co_return;
  }
  std::shared_ptr<Run> run = *joined;
  while (!run->answer && !deadline.passed()) co_await run->changed.wait(deadline);
  if (run->answer) {
    bool sent = co_await send(stream, run->answer->type, run->answer->flags, run->answer->body);
    if (sent && run->needs_word()) co_await take_word(stream, run, its_deadline);
  } else {
    co_await send_error(stream, overdue(*run), method);
  }
  runs_.leave(run);
}

// The volume becomes visible when the front-end says that it prints, not before; without the word it is
// collected.
Task<void> SmapiServer::take_word(Stream& stream, std::shared_ptr<Run> run, Deadline deadline) {
  char head[sizeof(frame::Prefix)];
  auto got = co_await stream.read_exact(head, sizeof head, deadline);
  if (!got) co_return;
  auto prefix = smapi::parse_prefix({head, sizeof head}, 0);
  if (!prefix || prefix->type != static_cast<std::uint8_t>(frame::Type::printing)) {
    log::warning("a front-end broke the protocol where it should say that it prints",
                 {{"id", run->call.id.str()}});
    co_return;
  }
  std::string header(prefix->header_len, '\0');
  got = co_await stream.read_exact(header.data(), header.size(), deadline);
  if (!got) co_return;
  auto parsed = smapi::parse_header(header, false);
  if (!parsed || parsed->id != run->call.id) co_return;
  deadline = Deadline(deadline.at() + grace(deadline));
  auto verdict = co_await runs_.keep_word(run, deadline);
  // No verdict yet: closing makes the front-end ask again with the same id, and it meets the same run.
  if (verdict) co_await send(stream, verdict->type, 0, verdict->body);
}

}  // namespace vnvme::daemon
