#include "dpu/spdk/target.hpp"

#include "core/json.hpp"
#include "core/log.hpp"
#include "core/text.hpp"
#include "dpu/spdk/errors.hpp"

namespace vnvme::dpu::spdk {
namespace {

constexpr std::size_t kReads = 0, kChanges = 1;

std::string elapsed(MonoClock::time_point began) {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(MonoClock::now() - began).count();
  auto rest = std::to_string(1000 + ms % 1000);
  return std::to_string(ms / 1000) + "." + rest.substr(1) + " s";
}

std::string about(const Step& step) {
  return step.object.empty() ? step.method : step.method + " of \"" + printable(step.object, 128) + "\"";
}

// A failure as the callers see it: classified, with step, object, peer and elapsed time.
Result<rpc::Answer> judge(const std::string& peer, const Step& step, Result<rpc::Answer> answer,
                          MonoClock::time_point began) {
  if (answer && !answer->error()) return answer;
  Error error = answer ? classify(step.method, *answer->error()) : std::move(answer.error());
  error.text = about(step) + " failed after " + elapsed(began) + ": " + printable(error.text, 512);
  error.step = step.method;
  error.peer = peer;
  log::debug("DPU call failed", {{"method", step.method},
                                 {"code", to_string(error.code)},
                                 {"outcome", to_string(error.outcome)},
                                 {"why", error.text}});
  return fail(std::move(error));
}

// Asks a new session what it is. A free function: the object that began it may be gone when an answer comes.
Task<Result<void>> probe(std::shared_ptr<Dialect> into, std::string peer, rpc::Client::Ask ask,
                         Deadline deadline) {
  auto began = MonoClock::now();
  Step methods{.method = "rpc_get_methods"}, version{.method = "spdk_get_version"};
  auto raw_names = co_await ask(kReads, methods.method, deadline);
  auto names = judge(peer, methods, std::move(raw_names), began);
  if (!names) co_return fail(std::move(names.error()));
  auto raw_version = co_await ask(kReads, version.method, deadline);
  auto said = judge(peer, version, std::move(raw_version), began);
  if (!said) co_return fail(std::move(said.error()));
  // SPDK serves 64 connections; the 65th is accepted and stays silent. So the second one is tried as well.
  auto raw_second = co_await ask(kChanges, version.method, deadline);
  auto second = judge(peer, version, std::move(raw_second), began);
  if (!second) co_return fail(std::move(second.error()));
  auto dialect = make_dialect(names->result(), said->result());
  if (!dialect) co_return fail(std::move(dialect.error()));
  *into = std::move(*dialect);
  co_return Result<void>();
}

}  // namespace

Target::Target(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector,
               rpc::Client::Options options, Quirks quirks)
    : client_(io, std::move(connector), options), lanes_(io), quirks_(quirks) {}

void Target::start() {
  auto into = dialect_;
  auto peer = endpoint();
  client_.start([into, peer](rpc::Client::Ask ask, Deadline deadline) -> Task<Result<void>> {
    return probe(into, peer, std::move(ask), deadline);
  });
}

Error Target::unreadable(const Step& step, Error error, Outcome outcome) const {
  error.text = about(step) + ": unreadable answer: " + printable(error.text, 512);
  error.code = Errc::protocol;
  error.outcome = outcome;
  error.step = step.method;
  error.peer = endpoint();
  return error;
}

tl::unexpected<Error> Target::refuse(Errc code, std::string step, std::string text) const {
  Error error{.code = code, .text = std::move(text)};
  error.step = std::move(step);
  error.peer = endpoint();
  return fail(std::move(error));
}

Task<Result<rpc::Answer>> Target::read(Step step, Deadline deadline) {
  auto began = MonoClock::now();
  Keep nothing;
  auto answer = co_await client_.call(kReads, step.method, step.params, deadline.capped(step.cap), nothing);
  // A read has no effect: whatever became of it, nothing is in doubt.
  if (!answer) answer.error().outcome = Outcome::not_done;
  co_return judge(endpoint(), step, std::move(answer), began);
}

Task<Result<rpc::Answer>> Target::change(Step step, Keep lane, Deadline deadline) {
  auto began = MonoClock::now();
  if (!lane) co_return fail(Errc::internal, about(step) + ": a mutation outside of any lane");
  auto answer =
      co_await client_.call(kChanges, step.method, step.params, deadline.capped(step.cap), std::move(lane));
  co_return judge(endpoint(), step, std::move(answer), began);
}

Task<Result<void>> Target::change_true(Step step, Keep lane, Deadline deadline) {
  auto answer = co_await change(step, std::move(lane), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  if (answer->result() != "true")
    co_return fail(unreadable(
        step, Error{.text = "it answered " + std::string(answer->result().substr(0, 64))}, Outcome::unknown));
  co_return Result<void>();
}

Task<Result<Keep>> Target::lane(std::string name, std::string what, Deadline deadline) {
  auto keep = co_await lanes_.acquire(name, what, deadline);
  if (!keep) {
    keep.error().text = what + ": " + keep.error().text;
    keep.error().step = "lane " + name;
    keep.error().peer = endpoint();
  }
  co_return keep;
}

}  // namespace vnvme::dpu::spdk
