"""A real Kafka broker (KRaft, one node) on free loopback ports."""
import os
import subprocess

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec, ResourceType

from tests.lab.process import ROOT, Process, free_ports, wait_until

HERE = ROOT / "tests" / "lab"
TOPICS = ("headcount-changes", "unit-mergers", "page-visits", "dead-letters")

PASSING = {getattr(KafkaError, name) for name in (
    "NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PART", "UNKNOWN_LEADER_EPOCH", "FENCED_LEADER_EPOCH",
    "REPLICA_NOT_AVAILABLE", "OFFSET_NOT_AVAILABLE", "REQUEST_TIMED_OUT", "_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN")}


def answered(what, ask):
    """What `ask` gives, asked again while Kafka has just started, or just made the partition, and can't say yet."""
    def asked():
        try:
            return (ask(),)
        except KafkaException as failure:
            if failure.args[0].code() in PASSING or "brokers are currently fenced" in str(failure):
                return None
            raise
    return wait_until(f"Kafka answers: {what}", asked)[0]


class Kafka:
    def __init__(self, directory, heap="256m", lasting=False):
        """`lasting`: compiled for a long run, as in production, instead of for a quick start."""
        self.directory = directory
        self.libs = os.environ.get("CITYTOTALS_KAFKA_LIBS", str(ROOT / "build" / "kafka"))
        self.heap = heap
        self.process = None
        self.java = ["java", "-XX:+UseSerialGC", *([] if lasting else ["-XX:TieredStopAtLevel=1"]), "-XX:-UsePerfData", "-Xshare:auto",
                     f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}", "-Djava.net.preferIPv4Stack=true"]
        if not any(name.startswith("kafka_") for name in os.listdir(self.libs)):
            raise AssertionError(f"no Kafka jars in {self.libs}; ./dev setup fetches them")

    def start(self):
        """Format the storage when new, start the broker, wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        settings = self.directory / "server.properties"
        if not settings.exists():
            self.port, controller = free_ports(2)
            text = (HERE / "server.properties").read_text()
            for name, value in (("PORT", self.port), ("CONTROLLER_PORT", controller), ("DIRECTORY", self.directory)):
                text = text.replace(f"@{name}@", str(value))
            settings.write_text(text)
            command = self.java + ["-Xmx128m", "-cp", f"{self.libs}/*", "kafka.tools.StorageTool", "format", "-t",
                                   "Y2l0eXRvdGFscy10ZXN0cw", "-c", str(settings)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            if done.returncode:
                raise AssertionError(f"formatting Kafka's storage failed:\n{done.stdout}{done.stderr}")
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.process = Process("kafka", self.java + [f"-Xms{self.heap}", f"-Xmx{self.heap}", "-cp", f"{self.libs}/*",
                                                     "kafka.Kafka", str(settings)], self.directory)
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        wait_until("Kafka answers", self.answers, 120, self.process.check_alive)
        return self

    def answers(self):
        try:
            return len(self.admin.list_topics(timeout=1).brokers) > 0
        except Exception:  # not up yet
            return False

    def kill(self):
        if self.process:
            self.process.kill()

    def stop(self):
        if self.process:
            self.process.stop(60)

    def create_city(self, city, partitions=4, timestamps="LogAppendTime", **settings):
        """The four topics of a city as the contract wants them; `timestamps="CreateTime"` lets a test set the clock."""
        topics = [NewTopic(f"{city}.{name}", num_partitions=partitions, replication_factor=1,
                           config={"message.timestamp.type": timestamps, "retention.ms": "-1", "cleanup.policy": "delete",
                                   "message.timestamp.after.max.ms": "9223372036854775807",
                                   "max.message.bytes": "2097152" if name == "dead-letters" else "1048588", **settings})
                  for name in TOPICS]

        def create():
            for future in self.admin.create_topics(topics, operation_timeout=30).values():
                try:
                    future.result(60)
                except KafkaException as failure:  # made by a call before, of which another topic or the answer failed
                    if failure.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise
        answered(f"the topics of {city}", create)
        self.wait_for_leaders(*(topic.topic for topic in topics))

    def wait_for_leaders(self, *topics):
        """A partition that was made a moment ago may have no leader yet."""
        wait_until(f"{', '.join(topics)} are known", lambda: all(self.partitions(topic) for topic in topics))
        self.ends(*topics)

    def ends(self, *topics):
        """Where each partition's log ends, by topic/partition."""
        wanted = {TopicPartition(topic, number): OffsetSpec.latest() for topic in topics for number in range(self.partitions(topic))}
        return answered(f"where the logs of {', '.join(topics)} end", lambda: {
            f"{part.topic}/{part.partition}": future.result(30).offset for part, future in self.admin.list_offsets(wanted).items()})

    def forget_city(self, city):
        """Let the broker delete its topics in its own time: hundreds of cities would fill its heap."""
        if self.process and self.process.running():
            self.admin.delete_topics([f"{city}.{name}" for name in TOPICS], operation_timeout=0, request_timeout=10)

    def partitions(self, topic):
        """How many partitions `topic` has; 0 when there is none."""
        topics = answered("the topics", lambda: self.admin.list_topics(timeout=10).topics)
        return len(topics[topic].partitions) if topic in topics else 0

    def add_partitions(self, topic, total):
        answered(f"partitions of {topic}", lambda: self.admin.create_partitions([NewPartitions(topic, total)])[topic].result(60))
        wait_until(f"topic {topic} has {total} partitions", lambda: self.partitions(topic) == total)

    def delete_topic(self, topic):
        self.admin.delete_topics([topic], operation_timeout=30)[topic].result(60)
        wait_until(f"topic {topic} is gone", lambda: self.partitions(topic) == 0)

    def create_topic(self, topic, partitions, **settings):
        def created():
            for future in self.admin.create_topics([NewTopic(topic, partitions, 1, config=settings)]).values():
                try:
                    future.result(60)
                except Exception as failure:  # its old self is still being deleted
                    if "ALREADY_EXISTS" in str(failure):
                        return False
                    raise
            return True
        wait_until(f"topic {topic} is created", created)

    def set_topic(self, topic, name, value):
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)])
        answered(f"{name} of {topic}", lambda: self.admin.incremental_alter_configs([resource])[resource].result(60))
        wait_until(f"topic {topic} has {name}={value}", lambda: self.topic_setting(topic, name) == value)

    def topic_setting(self, topic, name):
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return answered(f"settings of {topic}", lambda: self.admin.describe_configs([resource])[resource].result(60)[name].value)

    def delete_records(self, topic, partition, before):
        part = TopicPartition(topic, partition, before)
        answered(f"deleting of {topic}", lambda: self.admin.delete_records([part])[part].result(60))

    def producer(self, **settings):
        return Producer({"bootstrap.servers": self.bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                         "partitioner": "murmur2_random", "reconnect.backoff.max.ms": 500, "log_level": 0, **settings})


def flushed(producer, seconds=60):
    left = producer.flush(seconds)
    assert left == 0, f"{left} records were not acknowledged within {seconds} s"


