// What one person may cost the workshop. Beyond each of these a request is refused.

/** Apps of one person that exist at a time. */
export const PROJECTS_OF_PERSON_MAX = 10;
/** Apps of the workshop, of all people, that exist at a time. */
export const PROJECTS_MAX = 1000;
/** Kinds of things in one app, and fields of one kind. */
export const KINDS_MAX = 10;
export const FIELDS_MAX = 20;
/** Characters of a title; of the name of a kind or field. */
export const TITLE_LENGTH_MAX = 60;
export const NAME_LENGTH_MAX = 30;
/** Bytes of the body of a request. */
export const BODY_BYTES_MAX = 4096;
/** Requests about one app, or one person, that wait for each other. */
export const WAITING_MAX = 8;
/** Requests of one person in a minute. */
export const REQUESTS_PER_MINUTE = 60;
/** How long the body of a request may take. */
export const REQUEST_TIMEOUT_MS = 10_000;
