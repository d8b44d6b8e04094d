import { createElement, type CSSProperties, type ElementType, type ReactNode } from 'react';
import type { Presence } from '../rooms/presence.ts';
import type { ReactRoom } from './room.ts';

/** What `Cursors` takes. */
export interface CursorsProps {
  readonly room: ReactRoom<any, any>;
  /** Names the area, where a room has several. */
  readonly spaceId?: string;
  /** The element around the children; `div`. */
  readonly as?: ElementType;
  readonly className?: string;
  readonly style?: CSSProperties;
  /** The colour in which the others see this user's cursor. */
  readonly userCursorColor?: string;
  /** Renders a cursor; an arrow where it is not given. */
  readonly renderCursor?: (props: { color: string; presence: Presence }) => ReactNode;
  /** Lets the mouse's events go on to the elements around. */
  readonly propagate?: boolean;
  readonly zIndex?: number;
  readonly children?: ReactNode;
}

/** Where a pointer is: pixels from the page's corner, and percent of the area. */
interface Cursor {
  readonly x: number;
  readonly y: number;
  readonly xPercent: number;
  readonly yPercent: number;
  readonly color?: string;
}

/** What is taken of events of the mouse and of fingers. */
interface Pointer {
  readonly clientX: number;
  readonly clientY: number;
}

interface PointerEvent {
  readonly currentTarget: {
    getBoundingClientRect(): { left: number; top: number; width: number; height: number };
  };
  stopPropagation(): void;
}

/** Shows the cursors of the other members over its children, and tells them of this one. */
export function Cursors(props: CursorsProps): ReactNode {
  const { room, as = 'div', className, style, userCursorColor, propagate = false } = props;
  const { children, renderCursor, zIndex = 99_999 } = props;
  const spaceId = props.spaceId ?? `cursors-space-default--${room.type}-${room.id}`;
  const { peers, publishPresence } = room.usePresence({ keys: [spaceId], user: false });

  const show = (event: PointerEvent, { clientX, clientY }: Pointer) => {
    if (!propagate) event.stopPropagation();
    const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
    const cursor = {
      x: clientX,
      y: clientY,
      xPercent: ((clientX - left) / width) * 100,
      yPercent: ((clientY - top) / height) * 100,
      color: userCursorColor,
    };
    publishPresence({ [spaceId]: cursor });
  };
  const hide = () => publishPresence({ [spaceId]: undefined });

  const cursors = Object.entries(peers).map(([id, peer]) => {
    const cursor = peer[spaceId] as Cursor | undefined;
    if (!cursor) return null;
    const { color = 'black' } = cursor;
    const presence = room.handle.getPresence({ peers: [id] })?.peers[id] ?? peer;
    return (
      <div key={id} style={placeOf(cursor)}>
        {renderCursor ? renderCursor({ color, presence }) : <Arrow color={color} />}
      </div>
    );
  });
  const area = {
    className,
    style: { position: 'relative', ...style },
    onMouseMove: (event: PointerEvent & Pointer) => show(event, event),
    onMouseOut: hide,
    onTouchMove: (event: PointerEvent & { readonly touches: ArrayLike<Pointer> }) => {
      if (event.touches.length === 1) show(event, event.touches[0]!);
    },
    onTouchEnd: hide,
  };
  const over = <div style={{ ...FILLING, ...INERT, zIndex }}>{cursors}</div>;
  return createElement(as, area, children, over);
}

const FILLING = { position: 'absolute', top: 0, left: 0, bottom: 0, right: 0 } as const;

const INERT = { overflow: 'hidden', pointerEvents: 'none', userSelect: 'none' } as const;

/** An element as large as the area, moved so that its corner is where the cursor is. */
function placeOf({ xPercent, yPercent }: Cursor): CSSProperties {
  return {
    ...FILLING,
    transform: `translate(${xPercent}%, ${yPercent}%)`,
    transformOrigin: '0 0',
    transition: 'transform 100ms',
  };
}

const ARROW_PX = 24;

function Arrow({ color }: { color: string }): ReactNode {
  return (
    <svg width={ARROW_PX} height={ARROW_PX} viewBox="0 0 24 24" aria-hidden="true">
      <path
        d="M1 1v17l4.6-4.2 2.9 6.9 3-1.3-2.9-6.8H15z"
        fill={color}
        stroke="white"
        strokeWidth="1.5"
      />
    </svg>
  );
}
